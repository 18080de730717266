/**
 * The wire format of Nix's worker protocol: integers are unsigned, 64 bits, little-endian; a string is its length, its
 * bytes and zeros up to a multiple of 8; a list is its count and its items.
 *
 *   "abc" -> 0300000000000000 616263 0000000000
 *
 * The reader takes chunks as they come from a socket, cut anywhere, and copies each byte at most once. Every length is
 * bounded before anything is kept.
 */

export class WireError extends Error {
  override readonly name = 'WireError'
}

export function encodeInteger(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

export function encodeString(text: string): Buffer {
  const content = Buffer.from(text)
  const bytes = Buffer.alloc(8 + paddedTo8(content.length))
  bytes.writeBigUInt64LE(BigInt(content.length))
  content.copy(bytes, 8)
  return bytes
}

function paddedTo8(length: number): number {
  return Math.ceil(length / 8) * 8
}

/** Above the longest string that `readString` may be asked for, since a chunk comes on top of an unfinished value. */
const maxBufferedBytes = 2 << 20
/** Used-up chunks are dropped in batches: dropping each by itself would move the rest of the list each time. */
const dropAfter = 1024

export class WireReader {
  readonly #chunks: Uint8Array[] = []
  /** Index of the first chunk not used up, and what of it is used. */
  #first = 0
  #offset = 0
  #buffered = 0
  #failure: Error | undefined
  #waiting:
    | { readonly bytes: number; readonly resolve: () => void; readonly reject: (error: Error) => void }
    | undefined

  /** Bytes received and not read. */
  get buffered(): number {
    return this.#buffered
  }

  feed(chunk: Uint8Array): void {
    if (this.#failure || chunk.length === 0) return
    this.#chunks.push(chunk)
    this.#buffered += chunk.length
    if (this.#buffered > maxBufferedBytes)
      this.fail(new WireError('Cannot read from the daemon: it sends more than it was asked for'))
    else if (this.#waiting && this.#buffered >= this.#waiting.bytes) {
      const { resolve } = this.#waiting
      this.#waiting = undefined
      resolve()
    }
  }

  /** Nothing more will come; reads that the buffer cannot satisfy reject with this error. */
  fail(error: Error): void {
    this.#failure ??= error
    this.#waiting?.reject(this.#failure)
    this.#waiting = undefined
  }

  /** Any 64-bit value. */
  async readBigInteger(): Promise<bigint> {
    return (await this.#take(8)).readBigUInt64LE()
  }

  /** @throws {WireError} beyond `max` */
  async readInteger(max: number = Number.MAX_SAFE_INTEGER): Promise<number> {
    const value = await this.readBigInteger()
    if (value > BigInt(max))
      throw new WireError(`Cannot read from the daemon: it sent ${value}, at most ${max} is allowed here`)
    return Number(value)
  }

  async readString(maxBytes: number): Promise<string> {
    const length = await this.readInteger(maxBytes)
    const bytes = await this.#take(paddedTo8(length))
    for (let at = length; at < bytes.length; at++)
      if (bytes[at] !== 0) throw new WireError('Cannot read from the daemon: a string is not padded with zeros')
    return bytes.toString('utf8', 0, length)
  }

  /** One read at a time. */
  async #take(count: number): Promise<Buffer> {
    if (this.#buffered < count) {
      if (this.#failure) throw this.#failure
      await new Promise<void>((resolve, reject) => {
        this.#waiting = { bytes: count, resolve, reject }
      })
    }
    const taken = Buffer.allocUnsafe(count)
    let filled = 0
    while (filled < count) {
      const chunk = this.#chunks[this.#first]!
      const part = chunk.subarray(this.#offset, this.#offset + count - filled)
      taken.set(part, filled)
      filled += part.length
      this.#offset += part.length
      if (this.#offset === chunk.length) this.#advance()
    }
    this.#buffered -= count
    return taken
  }

  #advance(): void {
    this.#offset = 0
    this.#first++
    if (this.#first === this.#chunks.length || this.#first >= dropAfter) {
      this.#chunks.splice(0, this.#first)
      this.#first = 0
    }
  }
}
