/**
 * `state.json`, through lowdb: `{"version":1,"user":{…},"tunnel":{…},"connectors":[…]}`, 0600, replaced whole. A
 * damaged file is kept aside and begun anew. Keys of later versions are kept as they are.
 */
import { rename } from 'node:fs/promises'
import { type Adapter, Low } from 'lowdb'
import * as z from 'zod'

import type { Log } from '../../src/index.ts'
import { systemCodeOf } from '../complaint.ts'
import { createPrivateFile, readIfAny, replacePrivateFile } from './private-files.ts'

/** More connectors than ever run at once: what is older was ended or forgotten. */
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
  /** `undefined` when there is none, or none that can be understood. */
  find(): Promise<StateContent | undefined>
  /**
   * One change after the other; each sees what is in the file then, so that several Burrows lose nothing of each
   * other's.
   */
  update(change: (content: StateContent) => void): Promise<StateContent>
  /**
   * Like `update`, for a file that is not there yet: of several that try at once one wins, and all get what it wrote.
   */
  ensure(isThere: (content: StateContent) => boolean, change: (content: StateContent) => void): Promise<StateContent>
}

export function createStateDocument(file: string, log: Log): StateDocument {
  const adapter = createAdapter(file, log)
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work)
    last = turn.catch(() => {})
    return turn
  }
  const open = async () => {
    const database = new Low<StateContent>(adapter, { version: 1 })
    await database.read()
    return database
  }

  return {
    async find() {
      const content = parseState(await readIfAny(file))
      return content === 'damaged' ? undefined : content
    },
    update: (change) =>
      inTurn(async () => {
        const database = await open()
        await database.update(change)
        return database.data
      }),
    ensure: (isThere, change) =>
      inTurn(async () => {
        const database = await open()
        if (isThere(database.data)) return database.data
        const first = structuredClone(database.data)
        change(first)
        if (await createPrivateFile(file, format(first))) return first
        await database.read()
        if (!isThere(database.data)) await database.update(change)
        return database.data
      }),
  }
}

function createAdapter(file: string, log: Log): Adapter<StateContent> {
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
  log.warn(
    { file, aside },
    'The state file was damaged and is kept aside; a new one is made, so the user made at the first start gets a new password',
  )
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
