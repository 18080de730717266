/** How many operations on the larder's disk run at once. */
import { Semaphore } from './semaphore.ts'

/**
 * Serializes the writes and fsyncs of all fills: one of each at a time. Otherwise a slow disk would occupy all threads
 * of libuv's pool and block reads of existing files.
 */
export interface DiskQueue {
  readonly writes: Semaphore
  readonly syncs: Semaphore
}

export function createDiskQueue(): DiskQueue {
  return { writes: new Semaphore(1), syncs: new Semaphore(1) }
}
