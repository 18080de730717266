import { createHash, type Hash } from 'node:crypto'
import type { Duplex } from 'node:stream'

import { Fault } from '../../faults.ts'
import { formatSha256 } from '../../nix/hash.ts'
import type { NarInfo } from '../../nix/nar-info.ts'

/** Hashes the NAR inside while the file comes, with back-pressure. */
export class Verification {
  readonly #narInfo: NarInfo
  readonly #decompressor: Duplex | undefined
  readonly #hash: Hash = createHash('sha256')
  readonly #decoded: Promise<void>
  #size = 0

  constructor(narInfo: NarInfo, decompressor: Duplex | undefined) {
    this.#narInfo = narInfo
    this.#decompressor = decompressor
    this.#decoded = decompressor === undefined ? Promise.resolve() : this.#readDecoded(decompressor)
    this.#decoded.catch(() => {})
  }

  async add(bytes: Buffer): Promise<void> {
    if (this.#decompressor === undefined) return this.#count(bytes)
    // The bytes are in a buffer of the socket, which is not written to again.
    if (!this.#decompressor.write(bytes))
      await Promise.race([new Promise((resolve) => this.#decompressor!.once('drain', resolve)), this.#decoded])
  }

  /** Rejects with nar-mismatch. */
  async end(): Promise<void> {
    this.#decompressor?.end()
    await this.#decoded
    const { storePath, narHash, narSize } = this.#narInfo
    const found = formatSha256(this.#hash.digest())
    if (this.#size !== narSize || found !== narHash) {
      throw new Fault(
        'nar-mismatch',
        `The upstream's NAR of "${storePath}" has ${this.#size} bytes and the hash ${found} instead of ${narSize} bytes and ${narHash}`,
      )
    }
  }

  close(): void {
    this.#decompressor?.destroy()
  }

  async #readDecoded(decompressor: Duplex): Promise<void> {
    try {
      for await (const chunk of decompressor as AsyncIterable<Buffer>) this.#count(chunk)
    } catch (error) {
      throw error instanceof Fault
        ? error
        : new Fault(
            'nar-mismatch',
            `Cannot decompress the upstream's NAR of "${this.#narInfo.storePath}": ${(error as Error).message}`,
          )
    }
  }

  #count(bytes: Uint8Array): void {
    this.#size += bytes.byteLength
    if (this.#size > this.#narInfo.narSize)
      throw new Fault(
        'nar-mismatch',
        `The upstream's NAR of "${this.#narInfo.storePath}" is longer than ${this.#narInfo.narSize} bytes`,
      )
    this.#hash.update(bytes)
  }
}
