/**
 * `state.json`, held by lowdb: `{"version":1,"user":{…},"tunnel":{…},"connectors":[…]}`. The file has mode 0600 and is
 * replaced atomically. A damaged file is renamed, and a new one is created. Keys of later versions are kept.
 */
import { rename } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import { type Adapter, Low } from 'lowdb'
import * as z from 'zod'

import type { Log } from '../../src/index.ts'
import { systemCodeOf } from '../complaint.ts'
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
  /** Changes nothing. `undefined` when there is no file, or a damaged one. */
  find(): Promise<StateContent | undefined>
  /**
   * Changes run one after the other, each on what the file holds by then. A change may run twice: when another process
   * creates the file meanwhile. What stays the same is not written.
   */
  update(change: (content: StateContent) => void): Promise<StateContent>
}

export function createStateDocument(file: string, log: Log): StateDocument {
  const database = new Low<StateContent>(createAdapter(file, log), { version: 1 })
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
    async find() {
      const content = parseState(await readIfAny(file))
      return content === 'damaged' ? undefined : content
    },
    update(change) {
      const update = last.then(() => updateNow(change))
      last = update.catch(() => {})
      return update
    },
  }
}

class CreatedMeanwhile extends Error {}

/** Reads and checks the file, and replaces it whole. A new file never overwrites that of another process. */
function createAdapter(file: string, log: Log): Adapter<StateContent> {
  let onDisk: string | undefined
  return {
    async read() {
      onDisk = await readIfAny(file)
      const content = parseState(onDisk)
      if (content === 'damaged') {
        await keepAside(file, log)
        onDisk = undefined
        return { version: 1 }
      }
      return content ?? { version: 1 }
    },
    async write(content) {
      if (onDisk === undefined) {
        if (!(await createPrivateFile(file, format(content)))) throw new CreatedMeanwhile()
      } else if (!isDeepStrictEqual(content, parseState(onDisk))) await replacePrivateFile(file, format(content))
    },
  }
}

async function keepAside(file: string, log: Log): Promise<void> {
  const aside = `${file}.damaged-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`
  try {
    await rename(file, aside)
  } catch (error) {
    // Another process has renamed it already.
    if (systemCodeOf(error) === 'ENOENT') return
    throw error
  }
  log.warn(
    { file, aside },
    'The state file is damaged. It was renamed and a new one is created, so the generated user gets a new password',
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
