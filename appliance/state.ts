/**
 * What Burrow itself must remember from one start to the next, in its state directory (0700): the signing key it made (`secret-key`, in Nix's own format)
 * and the user it made (`state.json`: `{"version":1,"user":{"name":"burrow","password":"…"}}`). Both are made once, whoever comes first.
 */
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { type Adapter, Low } from 'lowdb'
import * as z from 'zod'

import type { Log } from '../src/index.ts'
import { Complaint, reasonOf, systemCodeOf } from './complaint.ts'
import { createPrivateFile, isReadableByOthers, readIfAny, readOrCreatePrivateFile, replacePrivateFile } from './private-files.ts'
import { createPassword } from './random-text.ts'
import { hasStateDir, prepareStateDir, secretKeyFile, stateFile } from './state-dir.ts'

export interface GeneratedUser {
  readonly name: string
  readonly password: string
}

export interface State {
  readonly dir: string
  /** The text of the key file. It is made from `createKey` (name:base64) at the first call ever. @throws {Complaint} state */
  ensureSecretKey(createKey: () => string): Promise<{ readonly text: string; readonly file: string; readonly isNew: boolean }>
  /** @throws {Complaint} state */
  findSecretKey(): Promise<{ readonly text: string; readonly file: string } | undefined>
  /** The user, made at the first call ever. @throws {Complaint} state */
  ensureUser(): Promise<GeneratedUser>
  findUser(): Promise<GeneratedUser | undefined>
}

const stateSchema = z.looseObject({ version: z.literal(1), user: z.object({ name: z.string().min(1), password: z.string().min(1) }).optional() })
type StateContent = z.output<typeof stateSchema>

interface StateOptions {
  readonly dir: string
  readonly userId: number | undefined
  readonly log: Log
}

/** Makes the directory. @throws {Complaint} state */
export async function openState(options: StateOptions): Promise<State> {
  await prepareStateDir(options.dir, options.userId)
  return createState(options)
}

/** For commands that only look; `undefined` when there is no state directory yet. @throws {Complaint} state */
export async function findState(options: StateOptions): Promise<State | undefined> {
  return (await hasStateDir(options.dir, options.userId)) ? createState(options) : undefined
}

function createState({ dir, log }: StateOptions): State {
  const keyFile = join(dir, secretKeyFile)
  const file = join(dir, stateFile)

  const requireKey = async (text: string) => {
    if (await isReadableByOthers(keyFile)) {
      throw new Complaint(
        'state',
        `Cannot use signing key "${keyFile}": others can read it; run "chmod 600 ${keyFile}", and change the key if somebody may have read it`,
      )
    }
    return { text, file: keyFile }
  }

  return {
    dir,
    ensureSecretKey: (createKey) =>
      toldOf(keyFile, async () => {
        const { text, isNew } = await readOrCreatePrivateFile(keyFile, () => `${createKey()}\n`)
        return { ...(await requireKey(text)), isNew }
      }),
    findSecretKey: () =>
      toldOf(keyFile, async () => {
        const text = await readIfAny(keyFile)
        return text === undefined ? undefined : await requireKey(text)
      }),
    ensureUser: () => toldOf(file, () => ensureUser(file, log)),
    findUser: () =>
      toldOf(file, async () => {
        const content = parseState(await readIfAny(file))
        return content === 'damaged' ? undefined : content?.user
      }),
  }
}

async function ensureUser(file: string, log: Log): Promise<GeneratedUser> {
  const database = new Low<StateContent>(createStateAdapter(file, log), { version: 1 })
  await database.read()
  if (database.data.user !== undefined) return database.data.user

  const user: GeneratedUser = { name: 'burrow', password: createPassword() }
  // At a first start whoever is first wins, and the others read what it wrote.
  if (await createPrivateFile(file, format({ ...database.data, user }))) return user
  await database.read()
  if (database.data.user === undefined) await database.update((data) => Object.assign(data, { user }))
  return database.data.user ?? user
}

function createStateAdapter(file: string, log: Log): Adapter<StateContent> {
  return {
    async read() {
      const content = parseState(await readIfAny(file))
      if (content !== 'damaged') return content ?? null
      await keepAside(file, log)
      return null
    },
    write: (content) => replacePrivateFile(file, format(content)),
  }
}

async function keepAside(file: string, log: Log): Promise<void> {
  const aside = `${file}.damaged-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`
  try {
    await rename(file, aside)
  } catch (error) {
    // Another start was quicker.
    if (systemCodeOf(error) === 'ENOENT') return
    throw error
  }
  log.warn({ file, aside }, 'The state file was damaged and is kept aside; a new one is made, so the user made at the first start gets a new password')
}

const format = (content: StateContent) => `${JSON.stringify(content, null, 2)}\n`

function parseState(text: string | undefined): StateContent | 'damaged' | undefined {
  if (text === undefined) return undefined
  try {
    return stateSchema.parse(JSON.parse(text))
  } catch {
    return 'damaged'
  }
}

async function toldOf<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Complaint || systemCodeOf(error) === undefined) throw error
    throw new Complaint('state', `Cannot use "${file}": ${reasonOf(error)}; see to it that the user who runs Burrow can read and write it`, { cause: error })
  }
}
