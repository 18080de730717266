/** A NAR as it goes by: parsed strictly, hashed, measured. What Nix would refuse never gets into the depot. */
import { createHash, type Hash } from 'node:crypto'

import { type NarSink, NarSyntaxError } from '../../nar/nar-sink.ts'
import { NarParser } from '../../nar/parse.ts'
import { formatSha256 } from '../../nix/hash.ts'
import { Refused } from './types.ts'

export interface CheckedNar {
  readonly narHash: string
  readonly narSize: number
  /** SHA-256 of the content when the NAR is a single plain file. */
  readonly flatHash: string | undefined
}

export class NarCheck {
  readonly #hash = createHash('sha256')
  readonly #flat = new FlatFile()
  readonly #parser = new NarParser(this.#flat)
  readonly #maxBytes: number
  #size = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get size(): number {
    return this.#size
  }

  /** @throws {Refused} */
  push(bytes: Uint8Array): void {
    this.#size += bytes.length
    if (this.#size > this.#maxBytes)
      throw new Refused('too-big', `The NAR is larger than ${this.#maxBytes} bytes, the limit of this cache`)
    this.#hash.update(bytes)
    try {
      if (this.#parser.push(bytes) < bytes.length) throw new Refused('bad-nar', 'Bytes follow the end of the NAR')
    } catch (error) {
      throw toRefused(error)
    }
  }

  /** @throws {Refused} */
  end(): CheckedNar {
    try {
      this.#parser.end()
    } catch (error) {
      throw toRefused(error)
    }
    return { narHash: formatSha256(this.#hash.digest()), narSize: this.#size, flatHash: this.#flat.digest() }
  }
}

function toRefused(error: unknown): unknown {
  return error instanceof NarSyntaxError ? new Refused('bad-nar', error.message, { cause: error }) : error
}

/**
 * Hashes the content of a NAR whose top is a plain file that is not executable, for content addresses of the kinds text
 * and flat.
 */
class FlatFile implements NarSink {
  #hash: Hash | undefined
  #depth = 0

  directory(): void {
    this.#depth++
  }

  leaveDirectory(): void {}

  regular(_name: Uint8Array, _size: number, isExecutable: boolean): void {
    if (this.#depth === 0 && !isExecutable) this.#hash = createHash('sha256')
  }

  content(bytes: Uint8Array): void {
    this.#hash?.update(bytes)
  }

  leaveRegular(): void {}

  symlink(): void {}

  digest(): string | undefined {
    return this.#hash && formatSha256(this.#hash.digest())
  }
}
