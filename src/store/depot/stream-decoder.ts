/** A decompressor that takes an untrusted upload in steps; one on top of a Node stream. */
import type { Duplex } from 'node:stream'

import { Refused } from './types.ts'

export interface Decoder {
  /** Resolves when these bytes were taken. @throws {Refused} */
  write(bytes: Uint8Array): Promise<void>
  /** Resolves when all that was written has come out. @throws {Refused} */
  end(): Promise<void>
  /** Frees everything at once. Idempotent. */
  close(): void
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

function trailing(): Refused {
  return new Refused('bad-nar', 'Bytes follow the end of the compressed NAR')
}

export function closed(): Refused {
  return new Refused('cut', 'The upload was abandoned')
}
