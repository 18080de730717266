/**
 * The memory that file contents pass through on their way to sockets. One reader gets large buffers and reads ahead,
 * since large asynchronous reads are several times faster than small ones; hundreds of slow readers get small ones,
 * since each holds what its socket has not taken. A buffer is never larger than a fraction of what is left, so the sum
 * stays within the budget however many come.
 */

import { largestSlot, Slots, smallestSlot } from './slots.ts'

/**
 * Taken from the system at once, touched only as it is needed: what many readers give back is there for the next,
 * without waiting for a garbage collection.
 */
const arenaBytes = 40 * 1024 * 1024
/** What a reader gets when the arena is full. */
const minBufferBytes = 2 * smallestSlot
/** One chunk on its way to the socket and two reads under way keep disk and socket busy. */
const readsAhead = 2
/**
 * Two chunks on their way to the socket; and one read waiting, as long as the readers are few enough for the largest
 * buffers.
 */
const chunksPerReader = 2
const fewReaders = Math.floor(arenaBytes / (chunksPerReader + 1) / largestSlot)

export class ChunkBuffers {
  readonly #arena = new ArrayBuffer(arenaBytes)
  readonly #slots = new Slots(arenaBytes)
  #takenBytes = 0
  #readers = 0

  /** Counts a reader: sizes depend on how many there are. Returns the function that takes it off again. */
  enter(): () => void {
    this.#readers++
    let isIn = true
    return () => {
      if (isIn) this.#readers--
      isIn = false
    }
  }

  /** How many reads one reader may have under way or waiting: read-ahead is for times with memory to spare. */
  get depth(): number {
    return this.#readers <= fewReaders ? readsAhead : 1
  }

  take(wantedBytes: number): Buffer {
    const at = this.#slots.take(this.#sizeFor(wantedBytes))
    if (at === undefined) return Buffer.allocUnsafeSlow(minBufferBytes)
    const size = this.#slots.sizeOf(at)
    this.#takenBytes += size
    return Buffer.from(this.#arena, at, size)
  }

  giveBack(buffer: Buffer): void {
    if (buffer.buffer !== this.#arena) return
    this.#takenBytes -= buffer.length
    this.#slots.give(buffer.byteOffset)
  }

  #sizeFor(wantedBytes: number): number {
    const fairShare = this.#readers <= fewReaders ? largestSlot : arenaBytes / (this.#readers * chunksPerReader)
    const caution = (arenaBytes - this.#takenBytes) / 8
    const most = Math.max(minBufferBytes, Math.min(largestSlot, fairShare, caution))
    let size = smallestSlot
    while (size * 2 <= most && size < wantedBytes) size *= 2
    return size
  }
}
