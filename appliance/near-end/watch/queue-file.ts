/**
 * The persistent state of `burrow watch-store`: the last id that it has seen, and the queue of paths to push. It is
 * replaced atomically before anything is deleted elsewhere: after a kill, a push may be repeated, which is cheap, but
 * none is lost.
 *
 *     <state directory>/watch-store/<12 hex of the cache's URL and the source>/queue.json
 */
import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'

import { takeDirectoryLock } from '../../../src/index.ts'
import { Complaint, reasonOf } from '../../complaint.ts'
import type { Machine } from '../../machine.ts'
import { readIfAny, replacePrivateFile } from '../../state/private-files.ts'
import { userStateDir } from '../../state/user-state-dir.ts'

export interface QueueState {
  /** Id in the store's database; `undefined` before it was read, and with a spool directory. */
  lastId?: number | undefined
  /** The path with this id. If it is a different one, the database was replaced. */
  lastPath?: string | undefined
  queue: string[]
}

const schema = z.object({
  url: z.string(),
  source: z.string(),
  lastId: z.int().min(0).optional(),
  lastPath: z.string().optional(),
  queue: z.array(z.string()),
})

export interface QueueFile extends Disposable {
  readonly file: string
  /** The last written state; `undefined` in the first run. */
  readonly state: QueueState | undefined
  write(state: QueueState): Promise<void>
}

/** `source`: the database or spool directory. Rejects with a Complaint: state. */
export async function openQueueFile(
  machine: Machine,
  { url, source }: { readonly url: string; readonly source: string },
): Promise<QueueFile> {
  const { env, pid } = machine
  const base = env.STATE_DIRECTORY?.split(':')[0] || userStateDir(machine)
  const name = createHash('sha256').update(`${url}\n${source}`).digest('hex').slice(0, 12)
  const dir = join(base, 'watch-store', name)
  const file = join(dir, 'queue.json')
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    const lock = takeDirectoryLock(dir, pid)
    try {
      const text = await readIfAny(file)
      const state = text === undefined ? undefined : parse(text, file)
      return {
        file,
        state,
        write: ({ lastId, lastPath, queue }) =>
          replacePrivateFile(file, `${JSON.stringify({ url, source, lastId, lastPath, queue })}\n`),
        [Symbol.dispose]: () => lock[Symbol.dispose](),
      }
    } catch (error) {
      lock[Symbol.dispose]()
      throw error
    }
  } catch (error) {
    if (error instanceof Complaint) throw error
    throw new Complaint('state', `Cannot use "${dir}" for the queue: ${reasonOf(error)}`, { cause: error })
  }
}

function parse(text: string, file: string): QueueState {
  try {
    const { lastId, lastPath, queue } = schema.parse(JSON.parse(text))
    return { lastId, lastPath, queue }
  } catch {
    throw new Complaint(
      'state',
      `Cannot read "${file}": it was not written by "burrow watch-store". Remove it to start with paths that are added from now on`,
    )
  }
}
