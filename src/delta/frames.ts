/**
 * zstd frames of a delta. Each one is made on its own and gives exactly the bytes that were announced for it: the frame
 * has its content's size in its header and no window beyond that ("single segment"), no checksum and no dictionary
 * number. Source: RFC 8878.
 */
import { promisify } from 'node:util'
import { constants, zstdCompress, zstdDecompress } from 'node:zlib'
import { unusable } from './format.ts'

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

const frameMagic = 0xfd2fb528
/** Bytes that begin so are taken for a trained dictionary by zstd, not for content. */
const dictionaryMagic = 0xec30a437
/** Contents shorter than this are no help, and zstd leaves out those below 8 bytes. */
const minDictionaryBytes = 16
const outputBytes = 64 * 1024
/**
 * zstd's table of positions has to hold the whole of the largest dictionary, or its beginning is forgotten: the level's
 * own has half of that. 2^23 positions are 32 MiB.
 */
const hashLog = 23

/** True for bytes that zstd takes as content to refer to. */
export function isDictionary(bytes: Buffer): boolean {
  return bytes.length >= minDictionaryBytes && bytes.readUInt32LE(0) !== dictionaryMagic
}

/**
 * The same content, dictionary, level and zstd version always give the same bytes. Without long-distance matching,
 * which overlooks the dictionary.
 */
export function compressFrame(content: Uint8Array, level: number, dictionary?: Buffer): Promise<Buffer> {
  const reachLog = Math.max(10, Math.ceil(Math.log2(content.length + (dictionary?.length ?? 0))))
  return compress(content, {
    pledgedSrcSize: content.length,
    chunkSize: Math.max(1024, Math.min(content.length, outputBytes)),
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_contentSizeFlag]: 1,
      [constants.ZSTD_c_checksumFlag]: 0,
      [constants.ZSTD_c_dictIDFlag]: 0,
      [constants.ZSTD_c_windowLog]: reachLog,
      ...(dictionary !== undefined && reachLog >= hashLog && { [constants.ZSTD_c_hashLog]: hashLog }),
    },
    ...(dictionary !== undefined && { dictionary }),
  })
}

/** Rejects with the fault delta-unusable unless the bytes are one frame that gives `length` bytes. */
export async function decompressFrame(frame: Buffer, length: number, dictionary?: Buffer): Promise<Buffer> {
  requireFrame(frame, length)
  let content: Buffer
  try {
    // One byte more than needed: a full buffer would make zlib take another of the same size.
    const options = { chunkSize: Math.max(64, length + 1), maxOutputLength: length }
    content = await decompress(frame, dictionary === undefined ? options : { ...options, dictionary })
  } catch (error) {
    throw unusable(`a frame cannot be decompressed: ${(error as Error).message}`, { cause: error })
  }
  if (content.length !== length) throw unusable(`a frame gives ${content.length} bytes, and not ${length}`)
  return content
}

/** Header and blocks, before anything is decompressed: zlib would pass over what follows the first frame. */
function requireFrame(frame: Buffer, length: number): void {
  if (frame.length < 6 || frame.readUInt32LE(0) !== frameMagic) throw unusable('a frame does not begin as one')
  const descriptor = frame[4]!
  if ((descriptor & 0b0011_1111) !== 0b0010_0000) throw unusable('a frame is not of the kind that deltas have')
  const sizeBytes = [1, 2, 4, 8][descriptor >>> 6]!
  let at = 5 + sizeBytes
  if (frame.length < at || contentSize(frame, sizeBytes) !== length)
    throw unusable('a frame announces another size than its instruction')
  for (let isLast = false; !isLast; ) {
    if (at + 3 > frame.length) throw unusable('a frame ends too early')
    const header = frame.readUIntLE(at, 3)
    isLast = (header & 1) === 1
    const isRepeatedByte = ((header >>> 1) & 3) === 1
    at += 3 + (isRepeatedByte ? 1 : header >>> 3)
  }
  if (at !== frame.length) throw unusable('a frame has another length than its instruction says')
}

/** A size in two bytes is counted from 256 on. */
function contentSize(frame: Buffer, sizeBytes: number): number {
  if (sizeBytes === 8) return Number(frame.readBigUInt64LE(5))
  return frame.readUIntLE(5, sizeBytes) + (sizeBytes === 2 ? 256 : 0)
}
