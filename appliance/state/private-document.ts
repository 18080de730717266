/**
 * A JSON document of the state directory, held by lowdb. The file has mode 0600 and is replaced atomically. A damaged
 * file is an error, because a new one would silently drop what it holds. Keys of later versions are kept if the schema
 * is loose.
 */
import { isDeepStrictEqual } from 'node:util'
import { type Adapter, Low } from 'lowdb'
import type * as z from 'zod'

import { Complaint } from '../complaint.ts'
import { createPrivateFile, type FileOwner, readIfAny, replacePrivateFile } from './private-files.ts'

export interface PrivateDocument<Content> {
  /** Changes nothing. `undefined` if there is no file. @throws {Complaint} state: it is damaged */
  find(): Promise<Content | undefined>
  /**
   * Changes run one after the other, each on what the file holds by then. A change may run twice: when another process
   * creates the file meanwhile. A change that throws changes nothing. What stays the same is not written.
   * @throws {Complaint} state: it is damaged
   */
  update(change: (content: Content) => void): Promise<Content>
}

export interface DocumentForm<Content> {
  readonly schema: z.ZodType<Content>
  /** What a missing file stands for. */
  readonly empty: () => Content
  /** Ends the message about a damaged file: what is lost without it. */
  readonly remedy: string
  /** Of a new file, if not this user. */
  readonly owner?: FileOwner | undefined
}

export function createPrivateDocument<Content>(file: string, form: DocumentForm<Content>): PrivateDocument<Content> {
  const database = new Low<Content>(createAdapter(file, form), form.empty())
  let last: Promise<unknown> = Promise.resolve()

  async function updateNow(change: (content: Content) => void): Promise<Content> {
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
    find: async () => parse(await readIfAny(file), file, form),
    update(change) {
      const update = last.then(() => updateNow(change))
      last = update.catch(() => {})
      return update
    },
  }
}

class CreatedMeanwhile extends Error {}

/** Reads and checks the file, and replaces it whole. A new file never overwrites that of another process. */
function createAdapter<Content>(file: string, form: DocumentForm<Content>): Adapter<Content> {
  let onDisk: string | undefined
  return {
    async read() {
      onDisk = await readIfAny(file)
      return parse(onDisk, file, form) ?? form.empty()
    },
    async write(content) {
      if (onDisk === undefined) {
        if (!(await createPrivateFile(file, format(content), form.owner))) throw new CreatedMeanwhile()
      } else if (!isDeepStrictEqual(content, parse(onDisk, file, form)))
        await replacePrivateFile(file, format(content), form.owner)
    },
  }
}

const format = (content: unknown) => `${JSON.stringify(content, null, 2)}\n`

function parse<Content>(
  text: string | undefined,
  file: string,
  { schema, remedy }: DocumentForm<Content>,
): Content | undefined {
  if (text === undefined) return undefined
  try {
    return schema.parse(JSON.parse(text))
  } catch {
    // Without the cause, whose message may quote a password.
    throw new Complaint(
      'state',
      `Cannot read state file "${file}": it is damaged or was written by a newer Burrow; restore it from a backup, or move it away, and ${remedy}`,
    )
  }
}
