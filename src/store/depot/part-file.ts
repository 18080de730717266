/**
 * A part on its way in: one zstd frame that holds exactly its share of the NAR, streamed to a file. Whether it
 * decompresses is found out later, in order; that it is one frame of the right size and has the promised digest is
 * found out here.
 */
import { createHash } from 'node:crypto'
import { constants, createGunzip, createZstdCompress } from 'node:zlib'

import type { Disk, WritableFile } from '../../disk/disk.ts'
import { readBody } from './incoming.ts'
import { StreamDecoder } from './stream-decoder.ts'
import { Refused } from './types.ts'
import { ZstdFormatError, ZstdFrames } from './zstd-frames.ts'

export interface ExpectedPart {
  /** SHA-256 of the body, base64, as `Content-Digest` gives it. */
  readonly digest: string
  readonly bodyBytes: number
  /** Bytes of NAR in it. */
  readonly contentBytes: number
  /** `gzip`: for clients without zstd; the frame is made here. */
  readonly encoding: 'zstd' | 'gzip'
}

/** A part holds at most 32 MiB, so no honest compressor needs a larger window. */
const maxWindowBytes = 32 * 2 ** 20

/**
 * Writes the frame to `tempFile`, flushed, and returns its size. The file is gone when this rejects. @throws {Refused}
 */
export async function receivePart(
  body: AsyncIterable<Uint8Array>,
  expected: ExpectedPart,
  tempFile: string,
  disk: Disk,
): Promise<number> {
  const file = await disk.create(tempFile, 0o600)
  try {
    const digest = createHash('sha256')
    let bodyBytes = 0
    const sink =
      expected.encoding === 'zstd'
        ? new FrameSink(file, expected.contentBytes)
        : new GzipSink(file, expected.contentBytes)
    try {
      for await (const chunk of readBody(body)) {
        bodyBytes += chunk.length
        if (bodyBytes > expected.bodyBytes) break
        digest.update(chunk)
        await sink.write(chunk)
      }
      if (bodyBytes !== expected.bodyBytes)
        throw new Refused(
          'file-mismatch',
          `The part does not have the declared length of ${expected.bodyBytes} bytes. Send it again`,
        )
      if (digest.digest('base64') !== expected.digest)
        throw new Refused('file-mismatch', 'The part does not have the digest that was declared. Send it again')
      await sink.end()
    } finally {
      sink.close()
    }
    await file.sync()
    await file.close()
    return sink.fileBytes
  } catch (error) {
    await file.close().catch(() => {})
    await disk.unlink(tempFile).catch(() => {})
    throw error
  }
}

class FrameSink {
  fileBytes = 0
  readonly #file: WritableFile
  readonly #contentBytes: number
  readonly #frames = new ZstdFrames()

  constructor(file: WritableFile, contentBytes: number) {
    this.#file = file
    this.#contentBytes = contentBytes
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      if (this.#frames.frames > 0) throw new ZstdFormatError('more follows')
      for (const _piece of this.#frames.split(bytes)) {
        // Only the state counts.
      }
    } catch (error) {
      if (error instanceof ZstdFormatError) throw notOneFrame()
      throw error
    }
    this.fileBytes += bytes.length
    await this.#file.write(bytes)
  }

  async end(): Promise<void> {
    const { frames, isBetween, header } = this.#frames
    if (frames !== 1 || !isBetween || header === undefined) throw notOneFrame()
    if (header.contentBytes !== this.#contentBytes) {
      throw new Refused(
        'file-mismatch',
        `The frame of this part says that it holds ${header.contentBytes} bytes, and must hold ${this.#contentBytes}`,
      )
    }
    if (header.windowBytes > maxWindowBytes)
      throw new Refused('file-mismatch', `The frame of this part needs a window of more than ${maxWindowBytes} bytes`)
  }

  close(): void {}
}

/** Decompresses and compresses again: at most the part itself is in memory. */
class GzipSink {
  fileBytes = 0
  readonly #file: WritableFile
  readonly #contentBytes: number
  readonly #out: Buffer[] = []
  readonly #compressor
  readonly #decoder: StreamDecoder
  #size = 0

  constructor(file: WritableFile, contentBytes: number) {
    this.#file = file
    this.#contentBytes = contentBytes
    this.#compressor = createZstdCompress({
      pledgedSrcSize: contentBytes,
      params: { [constants.ZSTD_c_compressionLevel]: 3 },
    })
    this.#compressor.on('data', (bytes: Buffer) => this.#out.push(bytes))
    this.#compressor.on('error', () => {})
    this.#decoder = new StreamDecoder(createGunzip(), (bytes) => {
      this.#size += bytes.length
      if (this.#size > contentBytes) throw this.#wrongSize()
      this.#compressor.write(Buffer.from(bytes))
    })
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#decoder.write(bytes)
    await this.#flush()
  }

  async end(): Promise<void> {
    await this.#decoder.end()
    if (this.#size !== this.#contentBytes) throw this.#wrongSize()
    const ended = new Promise<void>((resolve) => this.#compressor.once('close', resolve))
    this.#compressor.end()
    await ended
    await this.#flush()
  }

  close(): void {
    this.#decoder.close()
    this.#compressor.destroy()
  }

  async #flush(): Promise<void> {
    for (const bytes of this.#out.splice(0)) {
      this.fileBytes += bytes.length
      await this.#file.write(bytes)
    }
  }

  #wrongSize(): Refused {
    return new Refused('file-mismatch', `This part must hold ${this.#contentBytes} bytes of the NAR`)
  }
}

function notOneFrame(): Refused {
  return new Refused('file-mismatch', 'The part is not one whole zstd frame. Send it again')
}
