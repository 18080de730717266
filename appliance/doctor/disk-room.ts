/** Whether a directory of ours can be written, and what its disk has left. */
import { constants } from 'node:fs'
import { access, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'

import { systemCodeOf } from '../complaint.ts'

export interface DiskRoom {
  /** The directory, or the nearest above it that exists. */
  readonly place: string
  /** For this user. */
  readonly freeBytes: number
}

/** Rejects when it cannot be written. */
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
