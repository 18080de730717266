/** The config, the state directory, keys and users: what can be told from files alone. */
import { stat } from 'node:fs/promises'

import type { User } from '../../src/index.ts'
import { Complaint, reasonOf, systemCodeOf } from '../complaint.ts'
import type { Config } from '../config/config.ts'
import { type LoadedConfig, loadConfig } from '../config/load-config.ts'
import type { ConfigSource } from '../config/read-document.ts'
import { findState, type State } from '../state/state.ts'
import { formatRelative } from '../terminal/format.ts'
import { parseStateKey, readNamedFiles, toGeneratedUser } from '../users/load-reloadable.ts'
import { type Finding, type Findings, fail, ok, warn } from './finding.ts'

const silent = { debug() {}, info() {} }

export async function* checkConfig(source: ConfigSource): Findings<LoadedConfig | undefined> {
  try {
    const loaded = loadConfig(source)
    const { file } = loaded.config
    yield ok('config', file === undefined ? 'there is none, so the defaults hold' : `${file} is right`)
    for (const warning of loaded.warnings) yield warn('config', warning)
    return loaded
  } catch (error) {
    yield* complaintsOf('config', error)
    if (error instanceof Complaint && /refers to \$\w+, which is not set/.test(error.message))
      yield ofService(error.message)
    return undefined
  }
}

/** At a shell, a config may be right that lacks variables: systemd sets them for the service. */
function ofService(message: string): Finding {
  const credentials = message.includes('$CREDENTIALS_DIRECTORY,')
  return warn(
    'config',
    'where Burrow runs under systemd, such variables are set for the service alone (LoadCredential=, EnvironmentFile=); "burrow status" needs none of them',
    `to try the rest, as root: set -a; . /etc/burrow/environment${credentials ? '; CREDENTIALS_DIRECTORY=/run/credentials/burrow.service' : ''}; burrow doctor`,
  )
}

/** A complaint with several problems has a headline and a line each. */
function* complaintsOf(check: string, error: unknown): Generator<Finding> {
  if (!(error instanceof Complaint)) throw error
  const [head = '', ...lines] = error.message.split('\n')
  if (lines.length === 0) yield fail(check, head)
  for (const line of lines) yield fail(check, line.trim())
}

/** `undefined`: there is none that we can look into. */
export async function* checkStateDir(
  { state: { dir } }: Config,
  userId: number | undefined,
): Findings<State | undefined> {
  try {
    const { uid, mode } = await stat(dir)
    if (userId !== undefined && uid !== userId) {
      yield warn(
        'state',
        `"${dir}" belongs to user ${uid}, and this is user ${userId}: keys and passwords in it are not looked at`,
        userId === 0
          ? 'nothing, if that is the user that runs Burrow'
          : 'run this as root, or as the user that runs Burrow',
      )
      return undefined
    }
    // Before findState, which closes an open directory when that is still harmless.
    if ((mode & 0o077) !== 0)
      yield fail(
        'state',
        `others can enter "${dir}" (mode ${(mode & 0o777).toString(8).padStart(4, '0')})`,
        `run "chmod 700 ${dir}"`,
      )
    else yield ok('state', `${dir} is ours alone`)
    return (mode & 0o077) === 0
      ? await findState({ dir, userId, log: { ...silent, warn() {}, error() {} } })
      : undefined
  } catch (error) {
    if (error instanceof Complaint) yield fail('state', error.message)
    else if (systemCodeOf(error) === 'ENOENT')
      yield warn('state', `there is no "${dir}" yet`, 'the first "burrow serve" makes it, with a key')
    else yield fail('state', `cannot read "${dir}": ${reasonOf(error)}`, 'run this as the user that runs Burrow')
    return undefined
  }
}

export interface Secrets {
  /** `name:base64`; `undefined`: not known. */
  readonly publicKeys: readonly string[] | undefined
  /** `undefined`: not known, or a public cache. */
  readonly users: readonly User[] | undefined
}

export async function* checkSecrets(loaded: LoadedConfig, state: State | undefined, now: number): Findings<Secrets> {
  const told: Finding[] = []
  const note = (_fields: object, message: string) => void told.push(warn('key', message))
  let named: Awaited<ReturnType<typeof readNamedFiles>>
  try {
    named = await readNamedFiles(loaded, { ...silent, warn: note, error: note })
  } catch (error) {
    yield* complaintsOf('files', error)
    return { publicKeys: undefined, users: undefined }
  }
  yield* told
  const publicKeys =
    named.signing === undefined ? yield* checkStateKey(loaded.config, state) : named.signing.map((key) => key.publicKey)
  if (publicKeys?.length === 0)
    yield warn(
      'key',
      'nothing is signed here',
      'clients accept only what carries a signature they trust already; see "signing.keyFiles"',
    )
  for (const key of named.signing === undefined ? [] : (publicKeys ?? [])) yield ok('key', `signs as ${key}`)
  const users = yield* checkUsers(loaded.config, named.users, state, now)
  return { publicKeys, users }
}

async function* checkStateKey(config: Config, state: State | undefined): Findings<string[] | undefined> {
  if (state === undefined) return undefined
  try {
    const found = await state.findSecretKey()
    if (found === undefined) {
      yield warn('key', `there is no key in "${state.dir}" yet`, 'the first "burrow serve" makes it')
      return undefined
    }
    const { publicKey } = parseStateKey(found.text, found.file, config)
    yield ok('key', `signs as ${publicKey}`)
    return [publicKey]
  } catch (error) {
    yield* complaintsOf('key', error)
    return undefined
  }
}

async function* checkUsers(
  { access }: Config,
  named: readonly User[] | undefined,
  state: State | undefined,
  now: number,
): Findings<readonly User[] | undefined> {
  if (access.kind === 'public') {
    yield ok('users', 'everybody may pull: the cache is public')
    return undefined
  }
  if (access.kind === 'generated' && state === undefined) return undefined
  let users = named
  try {
    const generated = access.kind === 'generated' ? await state?.findUser() : undefined
    if (access.kind === 'generated') users = generated === undefined ? [] : [toGeneratedUser(generated)]
  } catch (error) {
    yield* complaintsOf('users', error)
    return undefined
  }
  if (users === undefined) return undefined
  if (users.length === 0) {
    yield warn('users', 'there is no user yet', 'the first "burrow serve" makes one')
    return users
  }
  yield* toUserFindings(users, now)
  return users
}

function* toUserFindings(users: readonly User[], now: number): Generator<Finding> {
  const usable = users.filter((user) => mayPull(user, now))
  for (const { name, expires } of users.filter((user) => hasExpired(user, now)))
    yield warn(
      'users',
      `"${name}" has expired ${formatRelative(expires!.toISOString(), now)}`,
      'remove the user, or change "expires"',
    )
  if (usable.length === 0) yield fail('users', 'no user may pull', 'add a user with access "pull" that has not expired')
  else yield ok('users', `${usable.length} may pull: ${usable.map(({ name }) => name).join(', ')}`)
}

export function hasExpired({ expires }: User, now: number): boolean {
  return expires !== undefined && expires.getTime() <= now
}

export function mayPull(user: User, now: number): boolean {
  return !hasExpired(user, now) && (user.access.has('pull') || user.access.has('admin'))
}
