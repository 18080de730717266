/**
 * Decompresses untrusted uploads in steps, with bounded memory, and rejects trailing bytes. What
 * comes out is handed on in pieces of at most 128 KiB, and may be refused there, which ends the decompression: a bomb
 * costs the time up to the limit and no memory.
 */
import { spawn } from 'node:child_process'
import type { Duplex } from 'node:stream'
import { constants, createBrotliDecompress, createGunzip, createZstdDecompress } from 'node:zlib'

import type { Compression } from '../../nix/nar-info.ts'
import { Refused } from './types.ts'
import { ZstdFormatError, ZstdFrames } from './zstd-frames.ts'

export interface Decoder {
  /** Resolves when these bytes were taken. @throws {Refused} */
  write(bytes: Uint8Array): Promise<void>
  /** Resolves when all that was written has come out. @throws {Refused} */
  end(): Promise<void>
  /** Frees everything at once. Idempotent. */
  close(): void
}

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

export class StreamDecoder implements Decoder {
  readonly #stream: Duplex & { readonly bytesWritten: number }
  readonly #ended: Promise<void>
  #written = 0
  #failure: unknown
  #hasEnded = false

  constructor(stream: Duplex & { readonly bytesWritten: number }, take: (bytes: Uint8Array) => void) {
    this.#stream = stream
    this.#ended = new Promise((resolve) => {
      const fail = (error: unknown) => {
        this.#failure ??= error
        stream.destroy()
        resolve()
      }
      stream.on('data', (bytes: Buffer) => {
        if (this.#failure !== undefined) return
        try {
          take(bytes)
        } catch (error) {
          fail(error)
        }
      })
      stream.on('error', (error) =>
        fail(new Refused('bad-nar', 'The body does not decompress: it is damaged or cut short', { cause: error })),
      )
      stream.on('end', () => {
        this.#hasEnded = true
        resolve()
      })
      stream.on('close', resolve)
    })
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#check()
    this.#written += bytes.length
    // A stream that found its end inside these bytes never calls back.
    await Promise.race([new Promise<void>((resolve) => this.#stream.write(bytes, () => resolve())), this.#ended])
    this.#check()
  }

  async end(): Promise<void> {
    this.#check()
    this.#stream.end()
    await this.#ended
    if (this.#failure !== undefined) throw this.#failure
    if (this.#stream.bytesWritten < this.#written) throw trailing()
    if (!this.#hasEnded) throw closed()
  }

  close(): void {
    this.#failure ??= closed()
    this.#stream.destroy()
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#hasEnded) throw trailing()
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

function startProgram(
  program: string,
  args: readonly string[],
  take: (bytes: Uint8Array) => void,
  searchPath: string,
): Decoder {
  // Nothing of our environment: it may hold secrets.
  const child = spawn(program, args, { env: { PATH: searchPath, LC_ALL: 'C' }, stdio: ['pipe', 'pipe', 'pipe'] })
  let failure: unknown
  let complaint = ''
  const fail = (error: unknown) => {
    failure ??= error
    child.kill('SIGKILL')
  }
  child.stdout.on('data', (bytes: Buffer) => {
    if (failure !== undefined) return
    try {
      take(bytes)
    } catch (error) {
      fail(error)
    }
  })
  child.stderr.on('data', (bytes: Buffer) => {
    if (complaint.length < 1000) complaint += bytes.toString('latin1')
  })
  // It has ended before it took everything; its exit says why.
  child.stdin.on('error', () => {})
  const ended = new Promise<void>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      fail(
        error.code === 'ENOENT'
          ? new Refused(
              'unsupported',
              `This cache has no "${program}" program to check such a NAR with: use ?compression=zstd`,
            )
          : new Refused('unavailable', 'This cache cannot check NARs at the moment', { cause: error }),
      )
      resolve()
    })
    child.once('close', (code) => {
      if (code !== 0) failure ??= describeExit(program, complaint)
      resolve()
    })
  })
  const check = () => {
    if (failure !== undefined) throw failure
  }
  return {
    async write(bytes) {
      check()
      await Promise.race([new Promise<void>((resolve) => child.stdin.write(bytes, () => resolve())), ended])
      check()
    },
    async end() {
      check()
      child.stdin.end()
      await ended
      check()
    },
    close: () => fail(closed()),
  }
}

function describeExit(program: string, complaint: string): Refused {
  if (/memory usage limit/i.test(complaint)) {
    return new Refused(
      'bad-nar',
      'Decompressing the body needs more memory than this cache allows: use ?compression=zstd',
    )
  }
  return new Refused('bad-nar', 'The body does not decompress: it is damaged or cut short', {
    cause: new Error(`${program}: ${complaint}`),
  })
}

function trailing(): Refused {
  return new Refused('bad-nar', 'Bytes follow the end of the compressed NAR')
}

function closed(): Refused {
  return new Refused('cut', 'The upload was abandoned')
}
