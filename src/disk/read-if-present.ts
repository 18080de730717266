/** A small file as a whole, where its absence is an answer. */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

/**
 * Undefined when there is no such file, or something else of that name. Rejects with the system's error, and with a
 * plain Error for a file above `maxBytes`.
 */
export async function readIfPresent(path: string, maxBytes: number): Promise<Buffer | undefined> {
  try {
    // A pipe would block the opening, were it not for O_NONBLOCK.
    await using handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const stat = await handle.stat()
    if (!stat.isFile()) return undefined
    if (stat.size > maxBytes) throw new Error(`it has ${stat.size} bytes, more than ${maxBytes}`)
    return await handle.readFile()
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return undefined
    throw error
  }
}
