/**
 * `state.json`, held by lowdb: `{"version":1,"user":{…},"tunnel":{…},"connectors":[…]}`. The file has mode 0600 and is
 * replaced atomically. A damaged file is an error, because a new one would silently drop the users. Keys of later
 * versions are kept.
 */
import { isDeepStrictEqual } from 'node:util'
import { type Adapter, Low } from 'lowdb'
import * as z from 'zod'

import { Complaint } from '../complaint.ts'
import { createPrivateFile, readIfAny, replacePrivateFile } from './private-files.ts'

/** More connectors than ever run at once; the oldest records are dropped. */
export const maxConnectors = 16

const words = z.string().max(512)
const stateSchema = z.looseObject({
  version: z.literal(1),
  user: z.looseObject({ name: z.string().min(1), password: z.string().min(1) }).optional(),
  tunnel: z
    .looseObject({
      hostname: words.optional(),
      tunnelId: words.optional(),
      connectorId: words.optional(),
      lastConnected: words.optional(),
      restarts: z.int().min(0).optional(),
    })
    .optional(),
  connectors: z
    .array(
      z.looseObject({
        pid: z.int().min(1),
        startTime: words,
        configFile: z.string().max(4096),
        ownerPid: z.int().min(1),
        ownerStartTime: words,
      }),
    )
    .max(maxConnectors)
    .optional(),
})

export type StateContent = z.output<typeof stateSchema>

export interface StateDocument {
  /** Changes nothing. `undefined` if there is no file. @throws {Complaint} state: it is damaged */
  find(): Promise<StateContent | undefined>
  /**
   * Changes run one after the other, each on what the file holds by then. A change may run twice: when another process
   * creates the file meanwhile. What stays the same is not written. @throws {Complaint} state: it is damaged
   */
  update(change: (content: StateContent) => void): Promise<StateContent>
}

export function createStateDocument(file: string): StateDocument {
  const database = new Low<StateContent>(createAdapter(file), { version: 1 })
  let last: Promise<unknown> = Promise.resolve()

  async function updateNow(change: (content: StateContent) => void): Promise<StateContent> {
    for (;;) {
      await database.read()
      try {
        await database.update(change)
        return database.data
      } catch (error) {
        if (!(error instanceof CreatedMeanwhile)) throw error
      }
    }
  }

  return {
    find: async () => parseState(await readIfAny(file), file),
    update(change) {
      const update = last.then(() => updateNow(change))
      last = update.catch(() => {})
      return update
    },
  }
}

class CreatedMeanwhile extends Error {}

/** Reads and checks the file, and replaces it whole. A new file never overwrites that of another process. */
function createAdapter(file: string): Adapter<StateContent> {
  let onDisk: string | undefined
  return {
    async read() {
      onDisk = await readIfAny(file)
      return parseState(onDisk, file) ?? { version: 1 }
    },
    async write(content) {
      if (onDisk === undefined) {
        if (!(await createPrivateFile(file, format(content)))) throw new CreatedMeanwhile()
      } else if (!isDeepStrictEqual(content, parseState(onDisk, file))) await replacePrivateFile(file, format(content))
    },
  }
}

const format = (content: StateContent) => `${JSON.stringify(content, null, 2)}\n`

function parseState(text: string | undefined, file: string): StateContent | undefined {
  if (text === undefined) return undefined
  try {
    return stateSchema.parse(JSON.parse(text))
  } catch {
    // Without the cause, whose message may quote a password.
    throw new Complaint(
      'state',
      `Cannot read state file "${file}": it is damaged or was written by a newer Burrow; restore it from a backup, or move it away, and Burrow creates a new one without the users and passwords in it`,
    )
  }
}
