/**
 * Decompresses stored NARs, to verify them, to list them, or to send them to a client that requests the uncompressed
 * NAR.
 * zstd, gzip and Brotli use node:zlib. xz and bzip2 use external programs, which the caller supplies, because this
 * library starts no processes.
 */
import type { Duplex } from 'node:stream'
import {
  brotliDecompressSync,
  createBrotliDecompress,
  createGunzip,
  createZstdDecompress,
  gunzipSync,
  zstdDecompressSync,
} from 'node:zlib'

import type { ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import type { Compression } from '../nix/nar-info.ts'
import { ListingSink } from './listing-sink.ts'
import { NarSyntaxError } from './nar-sink.ts'
import { NarParser } from './parse.ts'

/**
 * Each call starts a decompressor; destroying the stream ends it. It calls back for a write only after it has taken the
 * bytes: their memory is used again.
 */
export type Decompressors = Readonly<Partial<Record<Compression, () => Duplex>>>

/** Bytes. Each chunk is a round trip to another thread; larger ones live longer, which costs more in V8's collections. */
const chunkSize = 64 * 1024

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
      return createZstdDecompress({ chunkSize })
    case 'gzip':
      return createGunzip({ chunkSize })
    case 'br':
      return createBrotliDecompress({ chunkSize })
    default:
      throw new Fault(
        'nar-unreadable',
        `Cannot read a NAR compressed with ${compression}: no program for it is available`,
      )
  }
}

/**
 * A small NAR in memory, in this thread: a stream takes longer to set up. `narSize` in bytes, the most that is accepted.
 * Returns `undefined` for a compression that needs a stream. Throws the fault nar-mismatch.
 */
export function decompressSmall(compression: Compression, file: Uint8Array, narSize: number): Uint8Array | undefined {
  const options = { maxOutputLength: Math.max(1, narSize), chunkSize: Math.max(1024, narSize) }
  try {
    switch (compression) {
      case 'none':
        return file
      case 'zstd':
        return zstdDecompressSync(file, options)
      case 'gzip':
        return gunzipSync(file, options)
      case 'br':
        return brotliDecompressSync(file, options)
      default:
        return undefined
    }
  } catch (error) {
    throw new Fault('nar-mismatch', `Cannot decompress a stored NAR: ${(error as Error).message}`, { cause: error })
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
