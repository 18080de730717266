/** A disk that kills its process before the operation of a given number, counted before and after each one; 0 never. */
import { type Disk, systemDisk, type WritableFile } from '../../../src/disk/disk.ts'

export function countingDisk(operation: number): { readonly disk: Disk; start(): void; stop(): void } {
  let left = operation
  let isRunning = false
  const step = () => {
    if (isRunning && --left === 0) process.kill(process.pid, 'SIGKILL')
  }
  const watched =
    <Args extends unknown[], Result>(work: (...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      step()
      const result = await work(...args)
      // Between the operation and what follows from it: a commit, an answer.
      step()
      return result
    }
  const watchedFile = (file: WritableFile): WritableFile => ({
    write: watched(file.write),
    sync: watched(file.sync),
    close: file.close,
  })
  return {
    disk: {
      ...systemDisk,
      create: watched(async (path, mode) => watchedFile(await systemDisk.create(path, mode))),
      reopen: watched(async (path, length) => watchedFile(await systemDisk.reopen(path, length))),
      rename: watched(systemDisk.rename),
      unlink: watched(systemDisk.unlink),
      removeTree: watched(systemDisk.removeTree),
      syncDirectory: watched(systemDisk.syncDirectory),
    },
    start: () => {
      isRunning = true
    },
    stop: () => {
      isRunning = false
    },
  }
}
