/**
 * The few file operations that crash-safe storage is made of, behind a port, so that a test can record them, fail them
 * or end the process between two of them.
 */
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises'

export interface Disk {
  /** Creates a file that must not exist yet. */
  create(path: string, mode: number): Promise<WritableFile>
  /** Opens a file for appending, cut to `length` bytes; it is created when it is missing and `length` is 0. */
  reopen(path: string, length: number): Promise<WritableFile>
  rename(from: string, to: string): Promise<void>
  /** A file that is gone already is fine. */
  unlink(path: string): Promise<void>
  removeTree(path: string): Promise<void>
  makeDirectory(path: string): Promise<void>
  /** Makes renames, creations and removals in this directory survive a power cut. */
  syncDirectory(path: string): Promise<void>
  /** Bytes of a regular file; undefined when there is none. */
  sizeOf(path: string): Promise<number | undefined>
  list(path: string): Promise<string[]>
}

export interface WritableFile {
  write(bytes: Uint8Array): Promise<void>
  /** Makes what was written survive a power cut. */
  sync(): Promise<void>
  close(): Promise<void>
}

export const systemDisk: Disk = {
  create: async (path, mode) =>
    toWritable(await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode)),
  async reopen(path, length) {
    const handle = await open(path, constants.O_WRONLY | constants.O_CREAT, 0o600)
    try {
      await handle.truncate(length)
      return toWritable(handle, length)
    } catch (error) {
      await handle.close()
      throw error
    }
  },
  rename,
  async unlink(path) {
    await unlink(path).catch(ignoreAbsence)
  },
  removeTree: (path) => rm(path, { recursive: true, force: true }),
  async makeDirectory(path) {
    await mkdir(path, { recursive: true, mode: 0o700 })
  },
  async syncDirectory(path) {
    await using handle = await open(path, 'r')
    await handle.sync()
  },
  async sizeOf(path) {
    try {
      const found = await stat(path)
      return found.isFile() ? found.size : undefined
    } catch (error) {
      ignoreAbsence(error)
      return undefined
    }
  },
  async list(path) {
    try {
      return await readdir(path)
    } catch (error) {
      ignoreAbsence(error)
      return []
    }
  },
}

function toWritable(handle: FileHandle, start = 0): WritableFile {
  let position = start
  return {
    async write(bytes) {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, position)
        at += bytesWritten
        position += bytesWritten
      }
    },
    sync: () => handle.datasync(),
    close: () => handle.close(),
  }
}

/** True if a write failed because the disk or the quota is full. */
export function isDiskFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException | undefined)?.code ?? '')
}

function ignoreAbsence(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
