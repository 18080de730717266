/**
 * A delta: a NAR as the difference to the file tree of another store object. docs/deltas.md has the format byte by byte;
 * this file has its constants and its header.
 *
 *     header   magic, version, SHA-256 and size of the base's NAR, SHA-256 and size of the NAR itself
 *     block    sizes, a zstd frame with instructions, then the zstd frames of content that these announce, in order
 *     …
 *     end      a block of size 0
 *
 * The instructions give the nodes of the tree in NAR order, and where the content of each file is from.
 */
import { Fault } from '../faults.ts'
import { formatSha256, parseHash } from '../nix/hash.ts'

/**
 * Belongs into whatever names a delta (URL, file in the larder), with the level and zstd's version: the bytes change
 * with each of them.
 */
export const deltaVersion = 1

export const Opcode = {
  directory: 1,
  leave: 2,
  symlink: 3,
  regular: 4,
  executable: 5,
  /** All of the file's content is that of the base's file at the same path, of the same size. */
  same: 6,
  copy: 7,
  compressed: 8,
  /** Fills the pool: content of several small files in one frame. */
  fillPool: 9,
  fromPool: 10,
} as const

/** What a decoder accepts at the most. Its memory follows from these. */
export const limits = {
  /** Content of one frame: a piece of a large file, or a whole file. */
  pieceBytes: 8 * 1024 * 1024,
  /** The least content of an instruction that does not complete its file: what is refused is work for single bytes. */
  partBytes: 64 * 1024,
  /** The part of a base file that is a frame's dictionary. */
  dictionaryBytes: 8 * 1024 * 1024,
  poolBytes: 1024 * 1024,
  /** Instructions of one block, uncompressed. */
  blockBytes: 128 * 1024,
  /** As NAR has them, and as Nix 2.34 reads them. */
  depth: 64,
  nameBytes: 255,
  targetBytes: 4095,
  /** Of a path within a base. */
  pathBytes: 4095,
} as const

/**
 * The longest dictionary for a frame of `length` bytes. A decoder need not read much of a base for little content.
 */
export function maxDictionaryBytes(length: number): number {
  return Math.min(limits.dictionaryBytes, 8 * length + 4096)
}

/** The longest frame that zstd makes of `length` bytes: its bound, and room for the frame's header. */
export function maxFrameBytes(length: number): number {
  return length + (length >>> 8) + 128
}

export interface DeltaHeader {
  /** `sha256:<52 Nix32>` */
  readonly baseNarHash: string
  /** Bytes. */
  readonly baseNarSize: number
  readonly narHash: string
  readonly narSize: number
}

const magic = Buffer.from('NARDELTA')
export const headerBytes = magic.length + 4 + 2 * 40

export function encodeHeader({ baseNarHash, baseNarSize, narHash, narSize }: DeltaHeader): Buffer {
  const numbers = Buffer.alloc(20)
  numbers.writeUInt32LE(deltaVersion, 0)
  numbers.writeBigUInt64LE(BigInt(baseNarSize), 4)
  numbers.writeBigUInt64LE(BigInt(narSize), 12)
  return Buffer.concat([magic, numbers, digestOf(baseNarHash), digestOf(narHash)])
}

/** Throws the fault delta-unusable for other bytes than `encodeHeader` writes. */
export function decodeHeader(bytes: Buffer): DeltaHeader {
  if (!bytes.subarray(0, magic.length).equals(magic)) throw unusable('it does not begin as a delta')
  const version = bytes.readUInt32LE(8)
  if (version !== deltaVersion) throw unusable(`it has version ${version}, and ${deltaVersion} can be read`)
  const baseNarSize = bytes.readBigUInt64LE(12)
  const narSize = bytes.readBigUInt64LE(20)
  if (baseNarSize > Number.MAX_SAFE_INTEGER || narSize > Number.MAX_SAFE_INTEGER) throw unusable('a size is too large')
  return {
    baseNarHash: formatSha256(bytes.subarray(28, 60)),
    baseNarSize: Number(baseNarSize),
    narHash: formatSha256(bytes.subarray(60, 92)),
    narSize: Number(narSize),
  }
}

export function unusable(how: string, options?: ErrorOptions): Fault {
  return new Fault('delta-unusable', `Cannot use a delta: ${how}`, options)
}

function digestOf(narHash: string): Uint8Array {
  const hash = parseHash(narHash)
  if (hash?.algorithm !== 'sha256') throw new Error(`"${narHash}" is not a SHA-256`)
  return hash.digest
}
