/**
 * Decompresses stored NARs, to verify them, to list them, or to send them to a client that requests the uncompressed
 * NAR.
 * zstd, gzip and Brotli use node:zlib. xz and bzip2 use external programs, which the caller supplies, because this
 * library starts no processes.
 */
import type { Duplex } from 'node:stream'
import { createBrotliDecompress, createGunzip, createZstdDecompress } from 'node:zlib'

import type { ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import type { Compression } from '../nix/nar-info.ts'
import { ListingSink } from './listing-sink.ts'
import { NarSyntaxError } from './nar-sink.ts'
import { NarParser } from './parse.ts'

/** Each call starts a decompressor; destroying the stream ends it. */
export type Decompressors = Readonly<Partial<Record<Compression, () => Duplex>>>

/**
 * Returns a new decompression stream, or `undefined` if the NAR is not compressed. Throws the fault nar-unreadable for
 * an unsupported compression.
 */
export function createDecompressor(compression: Compression, programs: Decompressors = {}): Duplex | undefined {
  const program = programs[compression]
  if (program !== undefined) return program()
  switch (compression) {
    case 'none':
      return undefined
    case 'zstd':
      return createZstdDecompress()
    case 'gzip':
      return createGunzip()
    case 'br':
      return createBrotliDecompress()
    default:
      throw new Fault(
        'nar-unreadable',
        `Cannot read a NAR compressed with ${compression}: no program for it is available`,
      )
  }
}

/** Reads a NAR to its end and returns its listing as JSON, ready to send. Rejects with a Fault. Closes the reader. */
export async function listNar(nar: ChunkReader): Promise<Uint8Array> {
  const sink = new ListingSink()
  const parser = new NarParser(sink)
  try {
    for (let chunk = await nar.next(); chunk !== undefined; chunk = await nar.next()) {
      parser.push(chunk.bytes)
      chunk.release()
    }
    parser.end()
    return sink.toJson()
  } catch (error) {
    throw error instanceof NarSyntaxError ? new Fault('nar-mismatch', error.message, { cause: error }) : error
  } finally {
    nar.close()
  }
}
