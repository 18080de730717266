/**
 * What Burrow keeps from one start to the next, in its state directory (0700): the generated signing key (`secret-key`,
 * in Nix's format), the generated user and what is known about the tunnel (`state.json`). Key and user are generated
 * once, also when several processes start at the same time.
 */
import { join } from 'node:path'

import type { Log } from '../../src/index.ts'
import { Complaint, reasonOf, systemCodeOf } from '../complaint.ts'
import type { TunnelFacts, TunnelMemory } from '../tunnel/tunnel.ts'
import { createPassword } from '../users/random-text.ts'
import { isReadableByOthers, readIfAny, readOrCreatePrivateFile } from './private-files.ts'
import { hasStateDir, prepareStateDir, secretKeyFile, stateFile } from './state-dir.ts'
import { createStateDocument } from './state-document.ts'
import { openTunnelMemory } from './tunnel-memory.ts'

export interface GeneratedUser {
  readonly name: string
  readonly password: string
}

export interface State {
  readonly dir: string
  /** The text of the key file. If there is none, it is created from `createKey` (name:base64). @throws {Complaint} state */
  ensureSecretKey(
    createKey: () => string,
  ): Promise<{ readonly text: string; readonly file: string; readonly isNew: boolean }>
  /** @throws {Complaint} state */
  findSecretKey(): Promise<{ readonly text: string; readonly file: string } | undefined>
  /** The generated user; generates it if there is none. @throws {Complaint} state */
  ensureUser(): Promise<GeneratedUser>
  findUser(): Promise<GeneratedUser | undefined>
  /** As last written; `undefined` when there never was a tunnel. */
  findTunnelFacts(): Promise<TunnelFacts | undefined>
  /** For the process that runs the tunnel. */
  openTunnelMemory(): Promise<TunnelMemory>
}

interface StateOptions {
  readonly dir: string
  readonly userId: number | undefined
  readonly log: Log
}

/** Creates the directory if it is missing. Refuses a damaged state file, also if it is not needed yet. @throws {Complaint} state */
export async function openState(options: StateOptions): Promise<State> {
  await prepareStateDir(options.dir, options.userId)
  const state = createState(options)
  await state.findUser()
  return state
}

/** For read-only commands; `undefined` when there is no state directory yet. @throws {Complaint} state */
export async function findState(options: StateOptions): Promise<State | undefined> {
  return (await hasStateDir(options.dir, options.userId)) ? createState(options) : undefined
}

function createState({ dir, log }: StateOptions): State {
  const keyFile = join(dir, secretKeyFile)
  const file = join(dir, stateFile)
  const document = createStateDocument(file)

  const requireKey = async (text: string) => {
    if (await isReadableByOthers(keyFile)) {
      throw new Complaint(
        'state',
        `Cannot use signing key "${keyFile}": other users can read it; run "chmod 600 ${keyFile}", and replace the key if it may have been read`,
      )
    }
    return { text, file: keyFile }
  }

  return {
    dir,
    ensureSecretKey: (createKey) =>
      withStateErrors(keyFile, async () => {
        const { text, isNew } = await readOrCreatePrivateFile(keyFile, () => `${createKey()}\n`)
        return { ...(await requireKey(text)), isNew }
      }),
    findSecretKey: () =>
      withStateErrors(keyFile, async () => {
        const text = await readIfAny(keyFile)
        return text === undefined ? undefined : await requireKey(text)
      }),
    ensureUser: () =>
      withStateErrors(file, async () => {
        const user: GeneratedUser = { name: 'burrow', password: createPassword() }
        const { user: kept = user } = await document.update((content) => {
          content.user ??= { ...user }
        })
        return kept
      }),
    findUser: () => withStateErrors(file, async () => (await document.find())?.user),
    findTunnelFacts: () => withStateErrors(file, async () => (await document.find())?.tunnel),
    openTunnelMemory: () => withStateErrors(file, () => openTunnelMemory(document, log)),
  }
}

async function withStateErrors<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Complaint || systemCodeOf(error) === undefined) throw error
    throw new Complaint(
      'state',
      `Cannot use "${file}": ${reasonOf(error)}; make sure that the user who runs Burrow can read and write it`,
      { cause: error },
    )
  }
}
