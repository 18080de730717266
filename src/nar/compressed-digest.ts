/** What is known of a compressed NAR when all of it has passed: hash, size and, if it is small, its bytes. */
import { createHash } from 'node:crypto'

import { formatSha256 } from '../nix/hash.ts'

/** A compressed NAR up to this size is returned with the result. */
const smallBytes = 64 * 1024

export class CompressedDigest {
  readonly #hash = createHash('sha256')
  #size = 0
  #small: Buffer[] | undefined = []

  add(bytes: Buffer): void {
    this.#hash.update(bytes)
    this.#size += bytes.length
    if (this.#size <= smallBytes) this.#small?.push(bytes)
    else this.#small = undefined
  }

  /** Once, after the last byte. */
  end(): { readonly fileHash: string; readonly fileSize: number; readonly bytes?: Uint8Array<ArrayBuffer> } {
    return {
      fileHash: formatSha256(this.#hash.digest()),
      fileSize: this.#size,
      ...(this.#small && { bytes: new Uint8Array(Buffer.concat(this.#small)) }),
    }
  }
}
