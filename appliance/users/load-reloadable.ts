/**
 * From the configuration to what the cache needs of it and a reload may change: users with their passwords, keys, the
 * index page. This is where the files that a config names are read; all problems are reported together.
 */
import { readFile, stat } from 'node:fs/promises'

import {
  formatSecretKey,
  generateSecretKey,
  type IndexPage,
  type Log,
  parseSecretKey,
  type Reloadable,
  type SecretKey,
  type User,
} from '../../src/index.ts'
import { Complaint, reasonOf } from '../complaint.ts'
import type { Config, UserConfig } from '../config/config.ts'
import type { LoadedConfig } from '../config/load-config.ts'
import type { Problem } from '../config/problem.ts'
import { minPasswordLength, passwordFault } from '../config/users-schema.ts'
import type { State } from '../state/state.ts'
import { createKeyName } from './random-text.ts'

export interface SecretSources {
  readonly loaded: LoadedConfig
  readonly state: State
  readonly hostName: string
  readonly log: Log
}

/** Creates the key and the user at the first start. @throws {Complaint} config, state */
export async function loadReloadable({ loaded, state, hostName, log }: SecretSources): Promise<Reloadable> {
  const { config } = loaded
  const named = await readNamedFiles(loaded, log)
  const signing = named.signing ?? [await ensureKey(config, state, hostName, log)]
  const users = config.access.kind === 'generated' ? [toGeneratedUser(await state.ensureUser())] : named.users
  return { signing, users, indexPage: named.indexPage, contact: config.contact }
}

/** What the files named in the config hold; `undefined` where it names none. @throws {Complaint} config */
export async function readNamedFiles(
  { config, complain }: LoadedConfig,
  log: Log,
): Promise<{ signing: SecretKey[] | undefined; users: User[] | undefined; indexPage: IndexPage | false | undefined }> {
  const problems: Problem[] = []
  const gather = async <T>(pointer: string, reading: Promise<T>): Promise<T | undefined> => {
    try {
      return await reading
    } catch (error) {
      if (!(error instanceof NamedFileFault)) throw error
      problems.push({ pointer, message: error.message, remedy: error.remedy })
      return undefined
    }
  }
  const gatherAll = async <T>(readings: readonly Promise<T | undefined>[]) =>
    (await Promise.all(readings)).filter((value) => value !== undefined)

  const { signing, access, indexPage } = config
  const keys =
    signing.keyFiles &&
    (await gatherAll(
      signing.keyFiles.map((file, index) => gather(`/signing/keyFiles/${index}`, readKey(file, signing.name, log))),
    ))
  const users =
    access.kind === 'users'
      ? await gatherAll(access.users.map((user) => gather(pointerOfFile(user), toUser(user, log))))
      : undefined
  const page =
    typeof indexPage === 'object' ? await gather('/indexPage', readPage(indexPage.file)) : indexPage ? undefined : false
  if (keys !== undefined) problems.push(...findTwins(keys))
  if (problems.length > 0) throw complain(problems)
  return { signing: keys, users, indexPage: page }
}

class NamedFileFault extends Error {
  readonly remedy: string

  constructor(message: string, remedy: string, options?: ErrorOptions) {
    super(message, options)
    this.remedy = remedy
  }
}

async function readNamed(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new NamedFileFault(
      `names "${file}", which cannot be read: ${reasonOf(error)}`,
      'correct the path or the permissions of the file',
      { cause: error },
    )
  }
}

async function readKey(file: string, name: string | undefined, log: Log): Promise<SecretKey> {
  const text = await readNamed(file)
  if (((await stat(file)).mode & 0o007) !== 0)
    log.warn({ file }, `Every user of this machine can read the signing key; run "chmod 600 ${file}"`)
  try {
    return parseSecretKey(text, { name })
  } catch (error) {
    throw new NamedFileFault(`names "${file}": ${(error as Error).message}`, 'correct the file', { cause: error })
  }
}

/** Clients know a key by its name alone. */
function findTwins(keys: readonly SecretKey[]): Problem[] {
  return keys.flatMap(({ name }, index) =>
    keys.findIndex((other) => other.name === name) === index
      ? []
      : [
          {
            pointer: '/signing/keyFiles',
            message: `holds two keys named "${name}", and clients distinguish keys by name`,
            remedy: 'create one with another name: "burrow keygen NAME"',
          },
        ],
  )
}

function pointerOfFile({ pointer, secret }: UserConfig): string {
  return secret.kind === 'file' ? `${pointer}/passwordFile` : pointer
}

async function toUser({ name, secret, access, expires }: UserConfig, log: Log): Promise<User> {
  return {
    name,
    secret: secret.kind === 'file' ? { kind: 'plain', password: await readPassword(secret.file, log) } : secret,
    access: new Set(access),
    expires,
  }
}

/** A hash is as good as a password in a password file. */
async function readPassword(file: string, log: Log): Promise<string> {
  const password = (await readNamed(file)).replace(/\r?\n$/, '')
  if (((await stat(file)).mode & 0o007) !== 0)
    log.warn({ file }, `Every user of this machine can read or change the password file; run "chmod 600 ${file}"`)
  const fault = passwordFault(password)
  if (fault !== undefined)
    throw new NamedFileFault(`names "${file}", which ${fault[0].replace(/^is/, 'holds')}`, fault[1])
  if (password.length < minPasswordLength)
    log.warn({ file }, `A password file holds fewer than ${minPasswordLength} characters; choose a longer password`)
  return password
}

async function readPage(file: string): Promise<IndexPage> {
  const body = await readNamed(file)
  return { contentType: `text/${/\.html?$/i.test(file) ? 'html' : 'plain'}; charset=utf-8`, body }
}

/** The key in the state directory; created if it is missing. @throws {Complaint} state */
export async function ensureKey(config: Config, state: State, hostName: string, log: Log): Promise<SecretKey> {
  const { text, file, isNew } = await state.ensureSecretKey(() =>
    formatSecretKey(generateSecretKey(config.signing.name ?? createKeyName(hostName))),
  )
  const key = parseStateKey(text, file, config)
  if (isNew) log.info({ file, publicKey: key.publicKey }, 'Created a signing key')
  return key
}

/** @throws {Complaint} state */
export function parseStateKey(text: string, file: string, config: Config): SecretKey {
  try {
    return parseSecretKey(text, { name: config.signing.name })
  } catch (error) {
    throw new Complaint(
      'state',
      `Cannot use "${file}": ${(error as Error).message}; restore it, or remove it to create a new one, which all clients must then trust`,
      { cause: error },
    )
  }
}

export function toGeneratedUser({ name, password }: { readonly name: string; readonly password: string }): User {
  return { name, secret: { kind: 'plain', password }, access: new Set(['pull', 'push']) }
}
