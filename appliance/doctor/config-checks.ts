/** Checks of the config, the state directory, keys and users. They read files only. */
import { stat } from 'node:fs/promises'

import type { User } from '../../src/index.ts'
import { Complaint, reasonOf, systemCodeOf } from '../complaint.ts'
import type { Config } from '../config/config.ts'
import { type LoadedConfig, loadConfig } from '../config/load-config.ts'
import type { ConfigSource } from '../config/read-document.ts'
import { findState, type State } from '../state/state.ts'
import { formatRelative } from '../terminal/format.ts'
import { findAddedUsers } from '../users/added-users.ts'
import { parseStateKey, readNamedFiles, toGeneratedUser } from '../users/load-reloadable.ts'
import { mergeUsers } from '../users/merge-users.ts'
import { type Finding, type Findings, fail, ok, warn } from './finding.ts'

const silent = { debug() {}, info() {} }

export async function* checkConfig(source: ConfigSource): Findings<LoadedConfig | undefined> {
  try {
    const loaded = loadConfig(source)
    const { file } = loaded.config
    yield ok('config', file === undefined ? 'no config file: the defaults are used' : `${file} is valid`)
    for (const warning of loaded.warnings) yield warn('config', warning)
    return loaded
  } catch (error) {
    yield* toFindings('config', error)
    if (error instanceof Complaint && /refers to \$\w+, which is not set/.test(error.message))
      yield toServiceHint(error.message)
    return undefined
  }
}

/** The config may be valid for the service: systemd sets variables there that a shell does not have. */
function toServiceHint(message: string): Finding {
  const credentials = message.includes('$CREDENTIALS_DIRECTORY,')
  return warn(
    'config',
    'under systemd, such variables are only set for the service (LoadCredential=, EnvironmentFile=); "burrow status" does not need them',
    `to run the other checks, as root: set -a; . /etc/burrow/environment${credentials ? '; CREDENTIALS_DIRECTORY=/run/credentials/burrow.service' : ''}; burrow doctor`,
  )
}

/** A complaint about several problems has a headline, and one line per problem. */
function* toFindings(check: string, error: unknown): Generator<Finding> {
  if (!(error instanceof Complaint)) throw error
  const [head = '', ...lines] = error.message.split('\n')
  if (lines.length === 0) yield fail(check, head)
  for (const line of lines) yield fail(check, line.trim())
}

/** `undefined` if there is no state directory, or this user may not read it. */
export async function* checkStateDir(
  { state: { dir } }: Config,
  userId: number | undefined,
): Findings<State | undefined> {
  try {
    const { uid, mode } = await stat(dir)
    if (userId !== undefined && uid !== userId) {
      yield warn(
        'state',
        `"${dir}" belongs to user ${uid}, and this is user ${userId}: its keys and passwords were not checked`,
        userId === 0
          ? 'no action is needed if that is the user that runs Burrow'
          : 'run this as root, or as the user that runs Burrow',
      )
      return undefined
    }
    // Checked before findState, which may tighten the mode of the directory.
    if ((mode & 0o077) !== 0)
      yield fail(
        'state',
        `other users can access "${dir}" (mode ${(mode & 0o777).toString(8).padStart(4, '0')})`,
        `run "chmod 700 ${dir}"`,
      )
    else yield ok('state', `${dir} is private`)
    return (mode & 0o077) === 0
      ? await findState({ dir, userId, log: { ...silent, warn() {}, error() {} } })
      : undefined
  } catch (error) {
    if (error instanceof Complaint) yield fail('state', error.message)
    else if (systemCodeOf(error) === 'ENOENT')
      yield warn('state', `"${dir}" does not exist yet`, 'the first "burrow serve" creates it, with a key')
    else yield fail('state', `cannot read "${dir}": ${reasonOf(error)}`, 'run this as the user that runs Burrow')
    return undefined
  }
}

export interface Secrets {
  /** `name:base64`; `undefined` if not known. */
  readonly publicKeys: readonly string[] | undefined
  /** `undefined` if not known, or for a public cache. */
  readonly users: readonly User[] | undefined
}

export async function* checkSecrets(loaded: LoadedConfig, state: State | undefined, now: number): Findings<Secrets> {
  const logged: Finding[] = []
  const note = (_fields: object, message: string) => void logged.push(warn('key', message))
  let named: Awaited<ReturnType<typeof readNamedFiles>>
  try {
    named = await readNamedFiles(loaded, { ...silent, warn: note, error: note })
  } catch (error) {
    yield* toFindings('files', error)
    return { publicKeys: undefined, users: undefined }
  }
  yield* logged
  const publicKeys =
    named.signing === undefined ? yield* checkStateKey(loaded.config, state) : named.signing.map((key) => key.publicKey)
  if (publicKeys?.length === 0)
    yield warn(
      'key',
      'this cache signs nothing',
      'clients only accept paths with another signature that they trust; see "signing.keyFiles"',
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
      yield warn('key', `"${state.dir}" has no key yet`, 'the first "burrow serve" creates it')
      return undefined
    }
    const { publicKey } = parseStateKey(found.text, found.file, config)
    yield ok('key', `signs as ${publicKey}`)
    return [publicKey]
  } catch (error) {
    yield* toFindings('key', error)
    return undefined
  }
}

async function* checkUsers(
  config: Config,
  named: readonly User[] | undefined,
  state: State | undefined,
  now: number,
): Findings<readonly User[] | undefined> {
  const { access } = config
  if (access.kind === 'public') {
    yield ok('users', 'the cache is public: pulls need no password')
    return undefined
  }
  if (access.kind === 'generated' && state === undefined) return undefined
  let users = named
  try {
    const generated = access.kind === 'generated' ? await state?.findUser() : undefined
    if (access.kind === 'generated') users = generated === undefined ? [] : [toGeneratedUser(generated)]
    users = mergeUsers(users, await findAddedUsers(config, state))
  } catch (error) {
    yield* toFindings('users', error)
    return undefined
  }
  if (users === undefined) return undefined
  if (users.length === 0) {
    yield warn(
      'users',
      'there is no user yet',
      access.kind === 'generated' ? 'the first "burrow serve" creates one' : 'run "burrow user add NAME"',
    )
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
      `"${name}" expired ${formatRelative(expires!.toISOString(), now)}`,
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
