/**
 * From the file as written to the configuration as used: derived defaults, absolute paths, parsed texts. Pure; touches
 * no file.
 */
import { basename, dirname, join, resolve } from 'node:path'

import { defaultLimits, parseContact } from '../../src/index.ts'
import type { Environment } from '../machine.ts'
import { userStateDir } from '../state/user-state-dir.ts'
import { toBytes } from './byte-size.ts'
import type { AccessConfig, Config, OperatorConfig, StoreConfig, UserConfig } from './config.ts'
import { type ListenAddress, parseListenAddress } from './listen-address.ts'
import { toDepot, toUpstreams } from './resolve-depot.ts'
import { toPublish } from './resolve-publish.ts'
import { toTunnel } from './resolve-tunnel.ts'
import type { ConfigFile } from './schema.ts'

export interface Place {
  readonly env: Environment
  readonly homeDir: string
  /** Relative paths in the file start here: the folder of the file, or the working directory where there is none. */
  readonly baseDir: string
}

/** `values` have passed the schema and the cross-checks. */
export function resolveConfig(values: ConfigFile, file: string | undefined, place: Place): Config {
  const toAbsolute = (path: string) => resolve(place.baseDir, path)
  const stateDir = values.state.dir === undefined ? defaultStateDir(place) : toAbsolute(values.state.dir)
  const { larder, compression, indexPage } = values
  const access = toAccess(values, file, toAbsolute)
  const tunnel = toTunnel(values.tunnel, file, toAbsolute)
  return {
    file,
    listen: toAddress(values.listen),
    operator: toOperator(values.operator, stateDir),
    tunnel,
    cloudflareAccess: values.cloudflareAccess,
    runtimeDir: defaultRuntimeDir(place, stateDir),
    access,
    mutableUsers: values.mutableUsers,
    signing: { keyFiles: values.signing.keyFiles?.map(toAbsolute), name: values.signing.name },
    priority: values.priority,
    wantMassQuery: values.wantMassQuery,
    store: toStore(values.store),
    publish: toPublish(values.publish, toAbsolute),
    stores: values.stores.map(({ type, dir }) => ({ type, dir: toAbsolute(dir) })),
    depot: toDepot(values, { stateDir, access, hasTunnel: tunnel !== undefined, toAbsolute }),
    upstreams: toUpstreams(values, place.baseDir),
    compression:
      compression === 'zstd' ? { type: 'zstd', level: 3 } : compression === 'none' ? { type: 'none' } : compression,
    larder:
      larder === false
        ? undefined
        : {
            dir: larder.dir === undefined ? defaultLarderDir(place, stateDir) : toAbsolute(larder.dir),
            maxBytes: toBytes(larder.maxBytes),
            deltas: larder.deltas,
          },
    state: { dir: stateDir },
    indexPage: typeof indexPage === 'string' ? { file: toAbsolute(indexPage) } : indexPage,
    contact: values.contact === undefined ? undefined : parseContact(values.contact),
    edgeCache: values.edgeCache,
    log: values.log,
    limits: { ...defaultLimits, ...values.limits },
    leases: values.leases,
    analytics: values.analytics === false ? undefined : values.analytics,
  }
}

/** `$STATE_DIRECTORY` is systemd's, a list separated by colons where the unit names several. */
function defaultStateDir({ env, homeDir, baseDir }: Place): string {
  const fromSystemd = firstOf(env.STATE_DIRECTORY)
  return fromSystemd === undefined ? userStateDir({ env, homeDir }) : resolve(baseDir, fromSystemd)
}

function defaultLarderDir({ env, baseDir }: Place, stateDir: string): string {
  const fromSystemd = firstOf(env.CACHE_DIRECTORY)
  return join(fromSystemd === undefined ? stateDir : resolve(baseDir, fromSystemd), 'larder')
}

/** `$RUNTIME_DIRECTORY` is systemd's; elsewhere a folder of the state directory, which is as private. */
function defaultRuntimeDir({ env, baseDir }: Place, stateDir: string): string {
  const fromSystemd = firstOf(env.RUNTIME_DIRECTORY)
  return fromSystemd === undefined ? join(stateDir, 'run') : resolve(baseDir, fromSystemd)
}

function toOperator(value: string | null | undefined, stateDir: string): OperatorConfig | undefined {
  if (value === null) return undefined
  if (value !== undefined) return { address: toAddress(value), isDefault: false }
  const byDefault = parseListenAddress(`unix:${join(stateDir, 'operator.sock')}`)
  // A state directory whose path is too long for a socket.
  return 'refusal' in byDefault ? undefined : { address: byDefault, isDefault: true }
}

function firstOf(list: string | undefined): string | undefined {
  return list?.split(':').find((entry) => entry !== '')
}

function toStore(values: ConfigFile['store']): StoreConfig {
  // Without a slash at the end.
  const dir = resolve(values.dir)
  const realDir = resolve(values.realDir ?? dir)
  const prefix = basename(realDir) === 'store' ? dirname(realDir) : '/nix'
  const stateDir = values.stateDir ?? join(prefix, 'var', 'nix')
  const { daemonSocket } = values
  return {
    dir,
    realDir,
    stateDir,
    database: values.database ?? join(stateDir, 'db', 'db.sqlite'),
    logDir: values.logDir ?? join(prefix, 'var', 'log', 'nix'),
    daemonSocket: daemonSocket === undefined ? join(stateDir, 'daemon-socket', 'socket') : (daemonSocket ?? undefined),
  }
}

function toAccess(values: ConfigFile, file: string | undefined, toAbsolute: (path: string) => string): AccessConfig {
  if (values.public) return { kind: 'public' }
  if (file === undefined && values.users === undefined) return { kind: 'generated' }
  return {
    kind: 'users',
    users: (values.users ?? []).map((user, index) => toUser(user, `/users/${index}`, toAbsolute)),
  }
}

function toUser(
  user: NonNullable<ConfigFile['users']>[number],
  pointer: string,
  toAbsolute: (path: string) => string,
): UserConfig {
  if (typeof user === 'string') {
    const colon = user.indexOf(':')
    return {
      pointer,
      name: user.slice(0, colon),
      secret: { kind: 'plain', password: user.slice(colon + 1) },
      access: ['pull'],
      expires: undefined,
    }
  }
  const { name, password, passwordHash, passwordFile, access, expires } = user
  const secret: UserConfig['secret'] =
    password !== undefined
      ? { kind: 'plain', password }
      : passwordHash !== undefined
        ? { kind: 'argon2id', hash: passwordHash }
        : { kind: 'file', file: toAbsolute(passwordFile!) }
  return { pointer, name, secret, access, expires: expires === undefined ? undefined : new Date(expires) }
}

function toAddress(text: string): ListenAddress {
  const parsed = parseListenAddress(text)
  if ('refusal' in parsed) throw new Error(`"${text}" has passed the schema`)
  return parsed
}
