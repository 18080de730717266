/**
 * Where the frames of a zstd file begin and end, without decompressing: needed because Node's decompressor stops after
 * the first frame, and because each part of an upload must be one frame of a declared size. A frame is magic, header,
 * blocks (3 bytes of header each), checksum. Source: RFC 8878, section 3.1.
 */

export class ZstdFormatError extends Error {
  override readonly name = 'ZstdFormatError'
}

const frameMagic = 0xfd2fb528
const maxBlockBytes = 131_072 + 3
/** 128 MiB, what `zstd` itself decompresses without being asked: a window is memory. */
const maxWindowBytes = 2 ** 27
const maxHeaderBytes = 18

type State = 'magic' | 'descriptor' | 'header' | 'block' | 'content' | 'checksum' | 'skipSize' | 'skip'

export interface FrameHeader {
  readonly windowBytes: number
  /** Undefined when the frame does not say. */
  readonly contentBytes: number | undefined
}

export class ZstdFrames {
  frames = 0
  /** The header of the frame begun last. */
  header: FrameHeader | undefined
  #state: State = 'magic'
  #left = 4
  readonly #field = Buffer.alloc(maxHeaderBytes)
  #fieldLength = 0
  #isLastBlock = false
  #hasChecksum = false

  /** True between two frames, where a file may end. */
  get isBetween(): boolean {
    return this.#state === 'magic' && this.#fieldLength === 0
  }

  /** Cuts the bytes at the ends of frames: each piece belongs to one frame. Throws ZstdFormatError. */
  *split(bytes: Uint8Array): Generator<Uint8Array> {
    let start = 0
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + Math.min(this.#left, bytes.length - at))
      at += part.length
      this.#left -= part.length
      if (this.#state !== 'content' && this.#state !== 'skip') {
        this.#field.set(part, this.#fieldLength)
        this.#fieldLength += part.length
      }
      while (this.#left === 0) {
        this.#next()
        if (this.isBetween) {
          yield bytes.subarray(start, at)
          start = at
        }
      }
    }
    if (start < bytes.length) yield bytes.subarray(start)
  }

  #go(state: State, left: number): void {
    this.#state = state
    this.#left = left
    this.#fieldLength = 0
  }

  #next(): void {
    switch (this.#state) {
      case 'magic':
        return this.#readMagic()
      case 'descriptor': {
        const { headerBytes } = describe(this.#field[0]!)
        // The descriptor stays in front of the rest of the header.
        this.#state = 'header'
        this.#left = headerBytes
        return headerBytes === 0 ? this.#readHeader() : undefined
      }
      case 'header':
        return this.#readHeader()
      case 'block':
        return this.#readBlock()
      case 'content':
        if (!this.#isLastBlock) return this.#go('block', 3)
        return this.#hasChecksum ? this.#go('checksum', 4) : this.#endFrame()
      case 'checksum':
        return this.#endFrame()
      case 'skipSize': {
        const size = this.#field.readUInt32LE(0)
        return size === 0 ? this.#endFrame() : this.#go('skip', size)
      }
      case 'skip':
        return this.#endFrame()
    }
  }

  #endFrame(): void {
    this.frames++
    this.#go('magic', 4)
  }

  #readMagic(): void {
    const magic = this.#field.readUInt32LE(0)
    if (magic === frameMagic) return this.#go('descriptor', 1)
    if (magic >>> 4 !== 0x184d2a5) throw new ZstdFormatError('it is not a zstd frame')
    this.header = undefined
    this.#go('skipSize', 4)
  }

  #readHeader(): void {
    const header = parseHeader(this.#field)
    if (header.windowBytes > maxWindowBytes)
      throw new ZstdFormatError(`its window of ${header.windowBytes} bytes is larger than ${maxWindowBytes}`)
    this.header = header
    this.#hasChecksum = (this.#field[0]! & 4) !== 0
    this.#go('block', 3)
  }

  #readBlock(): void {
    const word = this.#field.readUIntLE(0, 3)
    const kind = (word >>> 1) & 3
    const size = kind === 1 ? 1 : word >>> 3
    if (kind === 3 || size > maxBlockBytes) throw new ZstdFormatError('one of its blocks is damaged')
    this.#isLastBlock = (word & 1) === 1
    this.#go('content', size)
    if (size === 0) this.#next()
  }
}

/** Of the first frame in `bytes`; undefined when they are no whole header of one. */
export function parseFrameHeader(bytes: Buffer): FrameHeader | undefined {
  if (bytes.length < 6 || bytes.readUInt32LE(0) !== frameMagic) return undefined
  return bytes.length < 5 + describe(bytes[4]!).headerBytes ? undefined : parseHeader(bytes.subarray(4))
}

/** How many bytes of header follow the descriptor. */
function describe(descriptor: number): {
  readonly headerBytes: number
  readonly isSingle: boolean
  readonly dictionaryBytes: number
  readonly sizeBytes: number
} {
  const isSingle = (descriptor & 0x20) !== 0
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!
  const sizeFlag = descriptor >>> 6
  const sizeBytes = sizeFlag === 0 ? (isSingle ? 1 : 0) : 2 ** sizeFlag
  return { headerBytes: (isSingle ? 0 : 1) + dictionaryBytes + sizeBytes, isSingle, dictionaryBytes, sizeBytes }
}

function parseHeader(field: Buffer): FrameHeader {
  const { isSingle, dictionaryBytes, sizeBytes } = describe(field[0]!)
  if (dictionaryBytes > 0) throw new ZstdFormatError('it needs a dictionary')
  const sizeAt = isSingle ? 1 : 2
  let contentBytes: number | undefined
  if (sizeBytes === 8) contentBytes = Number(field.readBigUInt64LE(sizeAt))
  else if (sizeBytes > 0) contentBytes = field.readUIntLE(sizeAt, sizeBytes) + (sizeBytes === 2 ? 256 : 0)
  if (isSingle) return { windowBytes: contentBytes!, contentBytes }
  const base = 2 ** (10 + (field[1]! >>> 3))
  return { windowBytes: base + (base / 8) * (field[1]! & 7), contentBytes }
}
