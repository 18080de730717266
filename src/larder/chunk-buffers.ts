/**
 * The memory that file contents pass through on their way to sockets. One reader gets large buffers and reads ahead, since large asynchronous reads
 * are several times faster than small ones; hundreds of slow readers get small ones, since each holds what its socket has not taken.
 * A buffer is never larger than a fraction of what is left, so the sum stays within the budget however many come.
 */

/** With the least that each of 200 readers gets beyond it, two chunks each, this stays within 60 MB. */
const budgetBytes = 44 * 1024 * 1024
const maxBufferBytes = 1024 * 1024
const minBufferBytes = 32 * 1024
/** Free buffers kept for reuse; more are left to the garbage collector. */
const maxFreeBytes = 8 * 1024 * 1024
/** One chunk on its way to the socket and two reads under way keep disk and socket busy. */
const readsAhead = 2
/** Two chunks on their way to the socket; and one read waiting, as long as the readers are few enough for the largest buffers. */
const chunksPerReader = 2
const fewReaders = Math.floor(budgetBytes / (chunksPerReader + 1) / maxBufferBytes)

export class ChunkBuffers {
  readonly #free = new Map<number, Buffer[]>()
  #freeBytes = 0
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

  get takenBytes(): number {
    return this.#takenBytes
  }

  /** How many reads one reader may have under way or waiting: read-ahead is for times with memory to spare. */
  get depth(): number {
    return this.#readers <= fewReaders ? readsAhead : 1
  }

  take(wantedBytes: number): Buffer {
    const size = this.#sizeFor(wantedBytes)
    this.#takenBytes += size
    const free = this.#free.get(size)?.pop()
    if (free === undefined) return Buffer.allocUnsafeSlow(size)
    this.#freeBytes -= size
    return free
  }

  giveBack(buffer: Buffer): void {
    this.#takenBytes -= buffer.length
    if (this.#freeBytes + buffer.length > maxFreeBytes) return
    this.#freeBytes += buffer.length
    const free = this.#free.get(buffer.length)
    if (free === undefined) this.#free.set(buffer.length, [buffer])
    else free.push(buffer)
  }

  #sizeFor(wantedBytes: number): number {
    const fairShare = this.#readers <= fewReaders ? maxBufferBytes : budgetBytes / (this.#readers * chunksPerReader)
    const caution = (budgetBytes - this.#takenBytes) / 8
    const most = Math.max(minBufferBytes, Math.min(maxBufferBytes, fairShare, caution))
    let size = minBufferBytes
    while (size * 2 <= most && size < wantedBytes) size *= 2
    return size
  }
}
