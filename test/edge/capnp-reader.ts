/**
 * Reads Cap'n Proto messages: a splitter that finds framed messages in a byte stream however it is cut, and a view of
 * structs in a message. Fields beyond the end of a struct read as zero, as older schemas must; pointers beyond their
 * segment throw. https://capnproto.org/encoding.html
 */

/** More than any RPC of a connector needs; a bigger one is garbage in the frame header. */
const maxMessageBytes = 4 * 2 ** 20
const maxSegments = 64

/**
 * Takes chunks of a stream, gives the messages that are complete, each as its segments. Throws on a frame header that
 * cannot be one.
 */
export class MessageSplitter {
  #pending = Buffer.alloc(0)

  push(chunk: Uint8Array): Buffer[][] {
    this.#pending = Buffer.concat([this.#pending, chunk])
    const messages: Buffer[][] = []
    for (;;) {
      const message = this.#take()
      if (!message) return messages
      messages.push(message)
    }
  }

  #take(): Buffer[] | undefined {
    const bytes = this.#pending
    if (bytes.length < 8) return undefined
    const count = bytes.readUInt32LE(0) + 1
    if (count > maxSegments) throw new Error(`Cannot read a Cap'n Proto message: it claims ${count} segments`)
    const headerBytes = Math.ceil((4 + 4 * count) / 8) * 8
    if (bytes.length < headerBytes) return undefined
    const sizes = Array.from({ length: count }, (_, i) => bytes.readUInt32LE(4 + 4 * i) * 8)
    const total = sizes.reduce((sum, size) => sum + size, headerBytes)
    if (total > maxMessageBytes) throw new Error(`Cannot read a Cap'n Proto message: it claims ${total} bytes`)
    if (bytes.length < total) return undefined
    let at = headerBytes
    const segments = sizes.map((size) => {
      at += size
      return bytes.subarray(at - size, at)
    })
    this.#pending = bytes.subarray(total)
    return segments
  }
}

interface Place {
  readonly segment: Buffer
  /** Byte offset of what is pointed to. */
  readonly at: number
  /** The pointer's upper half: sizes. */
  readonly size: number
  readonly kind: number
}

export class StructReader {
  readonly #segments: readonly Buffer[]
  readonly #segment: Buffer
  readonly #data: Buffer
  readonly #pointersAt: number
  readonly #pointerCount: number

  constructor(segments: readonly Buffer[], segment: Buffer, at: number, size: number) {
    const dataBytes = (size & 0xffff) * 8
    this.#segments = segments
    this.#segment = segment
    this.#data = slice(segment, at, dataBytes)
    this.#pointersAt = at + dataBytes
    this.#pointerCount = size >>> 16
    slice(segment, this.#pointersAt, this.#pointerCount * 8)
  }

  u8(at: number): number {
    return at < this.#data.length ? this.#data.readUInt8(at) : 0
  }

  u16(at: number): number {
    return at < this.#data.length ? this.#data.readUInt16LE(at) : 0
  }

  u32(at: number): number {
    return at < this.#data.length ? this.#data.readUInt32LE(at) : 0
  }

  u64(at: number): bigint {
    return at < this.#data.length ? this.#data.readBigUInt64LE(at) : 0n
  }

  bit(bit: number): boolean {
    return ((this.u8(bit >> 3) >> (bit & 7)) & 1) === 1
  }

  /** The struct which pointer `index` leads to; one of zeros where it is null. */
  struct(index: number): StructReader {
    const place = this.#follow(index)
    if (!place) return new StructReader(this.#segments, Buffer.alloc(0), 0, 0)
    if (place.kind !== 0) throw new Error(`Cannot read Cap'n Proto pointer ${index}: it leads to no struct`)
    return new StructReader(this.#segments, place.segment, place.at, place.size)
  }

  bytes(index: number): Buffer {
    const place = this.#follow(index)
    if (!place) return Buffer.alloc(0)
    if (place.kind !== 1 || (place.size & 7) !== 2)
      throw new Error(`Cannot read Cap'n Proto pointer ${index}: it leads to no bytes`)
    return slice(place.segment, place.at, place.size >>> 3)
  }

  text(index: number): string {
    const bytes = this.bytes(index)
    return bytes.subarray(0, Math.max(0, bytes.length - 1)).toString('utf8')
  }

  texts(index: number): string[] {
    const place = this.#follow(index)
    if (!place) return []
    if (place.kind !== 1 || (place.size & 7) !== 6)
      throw new Error(`Cannot read Cap'n Proto pointer ${index}: it leads to no list of pointers`)
    const count = place.size >>> 3
    const list = new StructReader(this.#segments, place.segment, place.at, 0).#withPointers(place.at, count)
    return Array.from({ length: count }, (_, i) => list.text(i))
  }

  /** The same segment seen as `count` pointers at `at`; a list may be longer than a struct may have pointers. */
  #withPointers(at: number, count: number): StructReader {
    const bytes = slice(this.#segment, at, count * 8)
    if (count > 0xffff) throw new Error(`Cannot read a Cap'n Proto list of ${bytes.length / 8} pointers`)
    return new StructReader(this.#segments, this.#segment, at, count << 16)
  }

  #follow(index: number): Place | undefined {
    if (index >= this.#pointerCount) return undefined
    return followPointer(this.#segments, this.#segment, this.#pointersAt + index * 8)
  }
}

export function readRoot(segments: readonly Buffer[]): StructReader {
  const place = followPointer(segments, segments[0]!, 0)
  if (place?.kind !== 0) throw new Error("Cannot read a Cap'n Proto message: it has no root struct")
  return new StructReader(segments, place.segment, place.at, place.size)
}

function followPointer(segments: readonly Buffer[], segment: Buffer, at: number): Place | undefined {
  const word = slice(segment, at, 8)
  const low = word.readUInt32LE(0)
  const high = word.readUInt32LE(4)
  if (low === 0 && high === 0) return undefined
  const kind = low & 3
  if (kind !== 2) return { segment, at: at + 8 + (word.readInt32LE(0) >> 2) * 8, size: high, kind }
  const target = segments[high]
  if (!target) throw new Error(`Cannot follow a Cap'n Proto far pointer to segment ${high} of ${segments.length}`)
  const padAt = (low >>> 3) * 8
  if ((low & 4) === 0) {
    // The landing pad is an ordinary pointer; a far one there would be a loop.
    if ((slice(target, padAt, 4).readUInt32LE(0) & 3) === 2)
      throw new Error("Cannot follow a Cap'n Proto far pointer to another one")
    return followPointer(segments, target, padAt)
  }
  const far = slice(target, padAt, 16)
  const content = segments[far.readUInt32LE(4)]
  if (!content) throw new Error("Cannot follow a Cap'n Proto double-far pointer: no such segment")
  return {
    segment: content,
    at: (far.readUInt32LE(0) >>> 3) * 8,
    size: far.readUInt32LE(12),
    kind: far.readUInt32LE(8) & 3,
  }
}

function slice(segment: Buffer, at: number, length: number): Buffer {
  if (at < 0 || at + length > segment.length)
    throw new Error(`Cannot read ${length} bytes at ${at} of a Cap'n Proto segment of ${segment.length}`)
  return segment.subarray(at, at + length)
}
