/**
 * What `burrow watch-store` knows from one run to the next: the last id it has seen, and what waits to be pushed.
 * Written whole, by rename, before anything is forgotten elsewhere: a kill at any moment repeats a push, which is
 * cheap, and loses none.
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

export interface QueueState {
  /** Of the store's database; undefined before it was read, and with a spool folder. */
  lastId?: number | undefined
  /** The path with that id: another one says that the database is another. */
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
  /** What was written last; undefined the first time. */
  readonly state: QueueState | undefined
  write(state: QueueState): Promise<void>
}

/** `source`: the database or spool folder it is fed from. Rejects with a Complaint: state. */
export async function openQueueFile(
  machine: Machine,
  { url, source }: { readonly url: string; readonly source: string },
): Promise<QueueFile> {
  const { env, homeDir, pid } = machine
  const home = env.XDG_STATE_HOME?.startsWith('/') === true ? env.XDG_STATE_HOME : join(homeDir, '.local/state')
  const base = env.STATE_DIRECTORY?.split(':')[0] || join(home, 'burrow')
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
      `Cannot read "${file}": it is not what "burrow watch-store" writes. Remove it to begin with what is added from now on`,
    )
  }
}
