/** Checks that a directory is writable, and how much space its disk has left. */
import { constants } from 'node:fs'
import { access, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'

import { systemCodeOf } from '../complaint.ts'

export interface DiskRoom {
  /** The directory, or its nearest existing parent. */
  readonly place: string
  /** Free space for this user, without reserved blocks. */
  readonly freeBytes: number
}

/** Rejects if the directory is not writable. */
export async function findDiskRoom(dir: string): Promise<DiskRoom> {
  const place = await findExisting(dir)
  await access(place, constants.W_OK | constants.X_OK)
  const { bavail, bsize } = await statfs(place)
  return { place, freeBytes: bavail * bsize }
}

async function findExisting(dir: string): Promise<string> {
  try {
    await stat(dir)
    return dir
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT' || dirname(dir) === dir) throw error
    return findExisting(dirname(dir))
  }
}
