/**
 * Prepares each start of a connector: reads its secret, writes its files (0600, in a directory of its own), puts
 * command line and environment together.
 */
import { randomUUID } from 'node:crypto'
import { rm, unlink } from 'node:fs/promises'
import { join } from 'node:path'

import { reasonOf } from '../../complaint.ts'
import { replacePrivateFile } from '../../state/private-files.ts'
import { isOlder } from '../find/version.ts'
import type { TunnelSettings } from '../settings.ts'
import { type LoopbackAddress, parseLoopbackAddress } from '../watch/readiness.ts'
import { formatConnectorConfig } from './connector-config.ts'
import { createConnectorEnv, type Environment } from './connector-env.ts'
import { findFreePort } from './free-port.ts'
import { type Binary, type Launch, LaunchFault } from './launch.ts'
import { type DirOwner, makeConnectorDir } from './leftovers.ts'
import { type LoadedSecret, loadTunnelSecret } from './secret.ts'

export interface LaunchPreparerOptions {
  readonly settings: TunnelSettings
  /** `http://127.0.0.1:8080` or `unix:/path`. */
  readonly origin: string
  /** Made when missing. */
  readonly runtimeDir: string
  readonly env: Environment
  /** Who this is, so that a next start knows whose files these were. */
  readonly owner?: DirOwner
}

export interface LaunchPreparer extends AsyncDisposable {
  /** @throws {LaunchFault} */
  prepareLaunch(binary: Binary): Promise<Launch>
}

/** From this on cloudflared reads a token from a file. */
const tokenFileSince = '2025.4.0'

export function createLaunchPreparer(options: LaunchPreparerOptions): LaunchPreparer {
  let dir: Promise<string> | undefined

  const removeDir = async () => {
    const made = await dir?.catch(() => undefined)
    dir = undefined
    if (made !== undefined) await rm(made, { recursive: true, force: true })
  }

  return {
    async prepareLaunch(binary) {
      const secret = await loadTunnelSecret(options.settings.secret)
      try {
        dir ??= makeConnectorDir(options.runtimeDir, options.owner)
        return await prepare(options, binary, secret, await dir)
      } catch (error) {
        // Another is created next time: a cleanup job may have removed this one. What cannot be removed
        // either is no further news.
        await removeDir().catch(() => {})
        if (error instanceof LaunchFault) throw error
        throw new LaunchFault(
          `the connector's files cannot be written below "${options.runtimeDir}": ${reasonOf(error)}`,
          'make room, or correct its rights',
          {
            cause: error,
          },
        )
      }
    },
    [Symbol.asyncDispose]: removeDir,
  }
}

async function prepare(
  { settings, origin, env }: LaunchPreparerOptions,
  binary: Binary,
  secret: LoadedSecret,
  dir: string,
): Promise<Launch> {
  const configFile = join(dir, 'config.yml')
  const credentials =
    secret.kind === 'credentials' ? { tunnelId: secret.identity.tunnelId, file: secret.file } : undefined
  await replacePrivateFile(configFile, formatConnectorConfig({ settings, origin, credentials }))
  // A new name for each start, so that removing the previous secret does not remove this one.
  const tokenFile = join(dir, `token-${randomUUID()}`)
  const byFile = secret.kind === 'token' && !(binary.version !== undefined && isOlder(binary.version, tokenFileSince))
  if (byFile) await replacePrivateFile(tokenFile, secret.token)
  const token =
    secret.kind !== 'token' ? undefined : byFile ? { TUNNEL_TOKEN_FILE: tokenFile } : { TUNNEL_TOKEN: secret.token }
  const given = metricsFlagOf(settings.extraArgs)
  const own = { host: '127.0.0.1', port: await findFreePort('127.0.0.1') } as const
  const metrics: LoopbackAddress | undefined = given === undefined ? own : parseLoopbackAddress(given)
  return {
    command: binary.path,
    args: argsOf(settings, configFile, credentials?.tunnelId),
    env: createConnectorEnv({ env, settings, origin, metrics: `${own.host}:${own.port}`, token }),
    configFile,
    metrics,
    tunnelId: secret.kind === 'none' ? undefined : secret.identity.tunnelId,
    secrets: secretsOf(secret),
    async forgetSecret() {
      await unlink(tokenFile).catch(() => {})
    },
  }
}

/** Flags of `tunnel` stand before `run`: behind it cloudflared does not know them, prints its help and ends with 0. */
function argsOf({ mode, extraArgs }: TunnelSettings, configFile: string, tunnelId: string | undefined): string[] {
  const args = ['tunnel', '--config', configFile, ...extraArgs]
  if (mode === 'quick') return args
  return [...args, 'run', ...(tunnelId === undefined ? [] : [tunnelId])]
}

/** A flag wins over the variable that we set. */
function metricsFlagOf(extraArgs: readonly string[]): string | undefined {
  const at = extraArgs.findLastIndex((arg) => /^--?metrics(?:=|$)/.test(arg))
  if (at === -1) return undefined
  const [, inline] = /^--?metrics=(.*)$/.exec(extraArgs[at]!) ?? []
  return inline ?? extraArgs[at + 1] ?? ''
}

function secretsOf(secret: LoadedSecret): string[] {
  if (secret.kind === 'none') return []
  return secret.kind === 'token' ? [secret.token, secret.identity.secret] : [secret.identity.secret]
}
