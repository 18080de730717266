/**
 * The slots of the memory shared with the answering thread: blocks of 16 KiB to 512 KiB, halved and joined again as in
 * a buddy system. A block is touched only when all that were used before are taken, so that the process holds no more
 * pages than its readers ever needed at once.
 */
export const smallestSlot = 16 * 1024
export const largestSlot = 512 * 1024
const orders = Math.log2(largestSlot / smallestSlot)

export class Slots {
  readonly #memoryBytes: number
  readonly #free = Array.from({ length: orders + 1 }, () => new Set<number>())
  readonly #orderOf = new Map<number, number>()
  #untouched = 0

  /** @param memoryBytes a multiple of the largest slot */
  constructor(memoryBytes: number) {
    this.#memoryBytes = memoryBytes
  }

  /** Where a slot of at least `bytes` (of at most the largest slot) begins; undefined when there is none. */
  take(bytes: number): number | undefined {
    let order = 0
    while (smallestSlot << order < bytes && order < orders) order++
    let from = order
    while (from < orders && this.#free[from]!.size === 0) from++
    const at = this.#pop(from)
    if (at === undefined) return undefined
    for (; from > order; from--) this.#free[from - 1]!.add(at + (smallestSlot << (from - 1)))
    this.#orderOf.set(at, order)
    return at
  }

  sizeOf(at: number): number {
    return smallestSlot << (this.#orderOf.get(at) ?? 0)
  }

  give(at: number): void {
    let order = this.#orderOf.get(at)
    if (order === undefined) return
    this.#orderOf.delete(at)
    let start = at
    while (order < orders) {
      const buddy = start ^ (smallestSlot << order)
      if (!this.#free[order]!.delete(buddy)) break
      start = Math.min(start, buddy)
      order++
    }
    this.#free[order]!.add(start)
  }

  #pop(order: number): number | undefined {
    for (const at of this.#free[order]!) {
      this.#free[order]!.delete(at)
      return at
    }
    if (order < orders || this.#untouched >= this.#memoryBytes) return undefined
    const at = this.#untouched
    this.#untouched += largestSlot
    return at
  }
}
