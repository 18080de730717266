/**
 * NARs that are stored compressed, decompressed again: to verify them, to list them, to send them to a client that wants the NAR itself.
 * zstd, gzip and Brotli by node:zlib; xz and bzip2 by programs, which the caller brings since nothing in here starts processes.
 */
import type { Duplex } from 'node:stream'
import { createBrotliDecompress, createGunzip, createZstdDecompress } from 'node:zlib'

import type { ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import type { Compression } from '../nix/nar-info.ts'
import { ListingSink } from './listing-sink.ts'
import { NarParser, NarSyntaxError } from './parse.ts'

/** Each call starts one; destroying the stream ends it. */
export type Decompressors = Readonly<Partial<Record<Compression, () => Duplex>>>

/** A new stream that decompresses, or `undefined` for what is not compressed. Throws a Fault nar-unreadable for a compression that cannot be read here. */
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
      throw new Fault('nar-unreadable', `Cannot read a NAR compressed with ${compression}: there is no program for it here`)
  }
}

/** Reads a NAR to its end and returns its listing as JSON ready to be sent. Rejects with a Fault. Closes the reader. */
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
