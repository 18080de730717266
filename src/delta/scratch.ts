/** Memory for one content after the other, so that large ones are not left to garbage collection. */
export class Scratch {
  #memory: Buffer = Buffer.alloc(0)

  /** Valid until the next call. */
  take(length: number): Buffer {
    if (this.#memory.length < length) this.#memory = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(length)))
    return this.#memory.subarray(0, length)
  }
}
