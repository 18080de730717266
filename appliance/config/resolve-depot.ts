/** Resolves the settings of the depot and the upstreams: sizes in bytes, times in milliseconds, absolute paths. */
import { join, resolve } from 'node:path'

import { toBytes } from './byte-size.ts'
import type { AccessConfig, DepotConfig, UpstreamConfig } from './config.ts'
import { parseDuration } from './duration.ts'
import type { ConfigFile } from './schema.ts'

/**
 * Cloudflare refuses bodies of 100 MB on its free and pro plans; whether that is 10^8 or 100 * 2^20 is not documented.
 */
const edgeBodyBytes = 95_000_000

export interface DepotPlace {
  readonly stateDir: string
  readonly access: AccessConfig
  readonly hasTunnel: boolean
  readonly toAbsolute: (path: string) => string
}

export function toDepot(
  { depot, push, upstreams }: ConfigFile,
  { stateDir, access, hasTunnel, toAbsolute }: DepotPlace,
): DepotConfig | undefined {
  const isWanted = depot ?? (canAnyUserPush(access) || upstreams.some(({ keep }) => keep))
  if (isWanted === false) return undefined
  const {
    dir,
    maxBytes = '50 GiB',
    keepFree = '2 GiB',
    keepUnusedFor = '30d',
  } = typeof isWanted === 'object' ? isWanted : {}
  return {
    dir: dir === undefined ? join(stateDir, 'depot') : toAbsolute(dir),
    maxBytes: toBytes(maxBytes),
    keepFree: toBytes(keepFree),
    policy: {
      maxNarBytes: toBytes(push.maxNarBytes),
      references: push.references,
      upstreamKeys: push.upstreamKeys,
      requireSignatures: push.requireSignatures,
      refuse: push.refuse,
      bytesPerDayPerUser:
        push.bytesPerDayPerUser === undefined ? Number.MAX_SAFE_INTEGER : toBytes(push.bytesPerDayPerUser),
      keepUnusedMs: parseDuration(keepUnusedFor)!,
    },
    maxBodyBytes:
      push.maxBodyBytes === undefined ? (hasTunnel ? edgeBodyBytes : undefined) : toBytes(push.maxBodyBytes),
  }
}

export function toUpstreams({ upstreams }: ConfigFile, baseDir: string): UpstreamConfig[] {
  return upstreams.map(({ url, publicKeys, mode, keep, user, passwordFile }) => ({
    url: new URL(url),
    publicKeys,
    mode,
    keep,
    user,
    passwordFile: passwordFile === undefined ? undefined : resolve(baseDir, passwordFile),
  }))
}

function canAnyUserPush(access: AccessConfig): boolean {
  return (
    access.kind === 'generated' ||
    (access.kind === 'users' && access.users.some((user) => user.access.includes('push')))
  )
}
