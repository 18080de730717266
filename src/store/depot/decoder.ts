/**
 * Decompresses untrusted uploads in steps, with bounded memory, and rejects trailing bytes. What
 * comes out is handed on in pieces of at most 128 KiB, and may be refused there, which ends the decompression: a bomb
 * costs the time up to the limit and no memory.
 */
import { constants, createBrotliDecompress, createGunzip, createZstdDecompress } from 'node:zlib'

import type { Compression } from '../../nix/nar-info.ts'
import { startProgram } from './program-decoder.ts'
import { type Decoder, StreamDecoder } from './stream-decoder.ts'
import { Refused } from './types.ts'
import { ZstdFormatError, ZstdFrames } from './zstd-frames.ts'

export interface DecoderOptions {
  /** Where `xz` and `bzip2` are looked for. */
  readonly searchPath: string
  readonly maxXzMemoryBytes: number
}

const chunkSize = 128 * 1024

/** `take` is called with what comes out; what it throws is what `write` or `end` throws. */
export function createDecoder(
  compression: Compression,
  take: (bytes: Uint8Array) => void,
  options: DecoderOptions,
): Decoder {
  switch (compression) {
    case 'none':
      return { write: async (bytes) => take(bytes), end: async () => {}, close() {} }
    case 'zstd':
      return new ZstdDecoder(take)
    case 'br':
      return new StreamDecoder(createBrotliDecompress({ chunkSize }), take)
    case 'gzip':
      return new StreamDecoder(createGunzip({ chunkSize }), take)
    case 'xz':
      return startProgram(
        'xz',
        ['--decompress', '--stdout', '--threads=1', `--memlimit-decompress=${options.maxXzMemoryBytes}`],
        take,
        options.searchPath,
      )
    case 'bzip2':
      return startProgram('bzip2', ['--decompress', '--stdout'], take, options.searchPath)
    default:
      throw new Refused(
        'unsupported',
        `This cache does not accept NARs compressed with ${compression}: use ?compression=zstd`,
      )
  }
}

/** One decompressor for all frames: it takes the next one when no call holds bytes of two. */
class ZstdDecoder implements Decoder {
  readonly #frames = new ZstdFrames()
  readonly #inner: StreamDecoder

  constructor(take: (bytes: Uint8Array) => void) {
    this.#inner = new StreamDecoder(
      createZstdDecompress({ chunkSize, params: { [constants.ZSTD_d_windowLogMax]: 27 } }),
      take,
    )
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      for (const piece of this.#frames.split(bytes)) await this.#inner.write(piece)
    } catch (error) {
      if (!(error instanceof ZstdFormatError)) throw error
      throw new Refused('bad-nar', `The body does not decompress: ${error.message}`, { cause: error })
    }
  }

  async end(): Promise<void> {
    if (!this.#frames.isBetween || this.#frames.frames === 0)
      throw new Refused('bad-nar', 'The body does not decompress: it is cut short')
    await this.#inner.end()
  }

  close(): void {
    this.#inner.close()
  }
}
