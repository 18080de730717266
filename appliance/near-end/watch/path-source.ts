/**
 * Sources of paths to push: paths that become valid in the store's database, or files that the post-build hook writes
 * to a spool directory.
 */
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

import type { LocalStore } from '../../../src/index.ts'
import { Complaint, reasonOf, systemCodeOf } from '../../complaint.ts'
import type { QueueState } from './queue-file.ts'

export interface PathSource {
  /**
   * Adds new paths to the state; resolves to a function to call after the state was written, or `undefined` if there is
   * nothing new.
   */
  read(state: QueueState): Promise<(() => Promise<void>) | undefined>
}

/** Derivations are not pushed. */
const isWanted = (path: string) => !path.endsWith('.drv')

/** `tell`: called if the database is not the one that the state belongs to. */
export function watchDatabase(store: LocalStore, tell: (line: string) => void): PathSource {
  let generation: number | undefined
  return {
    async read(state) {
      const current = store.generation()
      if (current === generation && state.lastId !== undefined) return undefined
      const before = state.lastId
      if (before === undefined) {
        state.lastId = store.lastId()
        state.lastPath = store.pathOfId(state.lastId)
      }
      if (before !== undefined && isAnother(store, before, state.lastPath)) {
        tell('The store has a different database than before: starting over with all its paths')
        state.lastId = 0
        state.lastPath = undefined
      }
      for (let found = store.addedAfter(state.lastId!); found.length > 0; found = store.addedAfter(state.lastId!)) {
        add(
          state,
          found.map(({ storePath }) => storePath),
        )
        state.lastId = found.at(-1)!.id
        state.lastPath = found.at(-1)!.storePath
      }
      generation = current
      return state.lastId === before ? undefined : async () => {}
    },
  }
}

function isAnother(store: LocalStore, id: number, path: string | undefined): boolean {
  if (store.lastId() < id) return true
  const found = store.pathOfId(id)
  return path !== undefined && found !== undefined && found !== path
}

/** A hook takes milliseconds: a file that is incomplete for longer stays incomplete. */
const unfinishedMs = 3_600_000

/**
 * One file per build, completed by rename: a name with a leading dot is an incomplete file. Rejects with a Complaint if
 * the directory cannot be read.
 */
export function watchSpool(dir: string, storeDir: string, tell: (line: string) => void): PathSource {
  return {
    async read(state) {
      const all = await readNames(dir)
      for (const name of all) if (name.startsWith('.')) await removeIfOld(join(dir, name))
      const names = all.filter((name) => !name.startsWith('.')).sort()
      for (const name of names) add(state, await readSpooled(join(dir, name), storeDir, tell))
      if (names.length === 0) return undefined
      return async () => {
        for (const name of names) await rm(join(dir, name), { force: true })
      }
    },
  }
}

async function removeIfOld(file: string): Promise<void> {
  const found = await stat(file).catch(() => undefined)
  if (found !== undefined && Date.now() - found.mtimeMs > unfinishedMs) await rm(file, { force: true })
}

async function readNames(dir: string): Promise<string[]> {
  try {
    return (await readdir(dir, { withFileTypes: true })).filter((entry) => entry.isFile()).map(({ name }) => name)
  } catch (error) {
    throw new Complaint(
      'state',
      `Cannot read the spool directory "${dir}": ${reasonOf(error)}. Create it, writable for the user that runs the hook`,
      {
        cause: error,
      },
    )
  }
}

async function readSpooled(file: string, storeDir: string, tell: (line: string) => void): Promise<string[]> {
  try {
    const words = (await readFile(file, 'utf8')).split(/\s+/).filter((word) => word !== '')
    const pattern = /^\/[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+\-._?=]{1,211}$/
    const [paths, others] = [words, words].map((all, at) =>
      all.filter((word) => (word.startsWith(storeDir) && pattern.test(word.slice(storeDir.length))) === (at === 0)),
    )
    if (others!.length > 0) tell(`Ignored ${others!.length} words in "${file}" that are not store paths`)
    return paths!
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return []
    throw new Complaint('state', `Cannot read "${file}": ${reasonOf(error)}`, { cause: error })
  }
}

function add(state: QueueState, paths: readonly string[]): void {
  const known = new Set(state.queue)
  for (const path of paths) {
    if (known.has(path) || !isWanted(path)) continue
    known.add(path)
    state.queue.push(path)
  }
}
