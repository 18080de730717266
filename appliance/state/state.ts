/**
 * What Burrow itself must remember from one start to the next, in its state directory (0700): the signing key it made
 * (`secret-key`, in Nix's own format), the user it made and what is known of the tunnel (`state.json`). Key and user
 * are made once, whoever comes first.
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
  /**
   * The text of the key file. It is made from `createKey` (name:base64) at the first call ever. @throws {Complaint}
   * state
   */
  ensureSecretKey(
    createKey: () => string,
  ): Promise<{ readonly text: string; readonly file: string; readonly isNew: boolean }>
  /** @throws {Complaint} state */
  findSecretKey(): Promise<{ readonly text: string; readonly file: string } | undefined>
  /** The user, made at the first call ever. @throws {Complaint} state */
  ensureUser(): Promise<GeneratedUser>
  findUser(): Promise<GeneratedUser | undefined>
  /** As it was when it was last written; `undefined` when there never was a tunnel. */
  findTunnelFacts(): Promise<TunnelFacts | undefined>
  /** For the one who runs the tunnel. */
  openTunnelMemory(): Promise<TunnelMemory>
}

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
  const document = createStateDocument(file, log)

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
    ensureUser: () =>
      toldOf(file, async () => {
        const user: GeneratedUser = { name: 'burrow', password: createPassword() }
        const { user: kept } = await document.ensure(
          (content) => content.user !== undefined,
          (content) => {
            content.user = { ...user }
          },
        )
        return kept ?? user
      }),
    findUser: () => toldOf(file, async () => (await document.find())?.user),
    findTunnelFacts: () => toldOf(file, async () => (await document.find())?.tunnel),
    openTunnelMemory: () => toldOf(file, () => openTunnelMemory(document, log)),
  }
}

async function toldOf<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Complaint || systemCodeOf(error) === undefined) throw error
    throw new Complaint(
      'state',
      `Cannot use "${file}": ${reasonOf(error)}; see to it that the user who runs Burrow can read and write it`,
      { cause: error },
    )
  }
}
