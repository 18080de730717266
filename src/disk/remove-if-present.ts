/** Removes what is in the place of a file. */
import { lstat, rm, unlink } from 'node:fs/promises'

/** Also a directory: it would be in the way of every later file of this name. Rejects with the system's error. */
export async function removeIfPresent(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    if (!(await isDirectory(path))) throw error
    await rm(path, { recursive: true, force: true })
  }
}

function isDirectory(path: string): Promise<boolean> {
  return lstat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}
