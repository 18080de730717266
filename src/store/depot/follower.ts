/**
 * Follows one assembly: appends its parts in order to the growing file, decompressing, parsing and hashing them on the
 * way, so that at commit only the tail is left. After a restart the growing file is cut to what was flushed and read
 * from its first byte, since a hash's state cannot be saved.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'

import type { Disk, WritableFile } from '../../disk/disk.ts'
import { countParts } from '../../nar/part-ranges.ts'
import { formatSha256 } from '../../nix/hash.ts'
import type { Compression } from '../../nix/nar-info.ts'
import { createDecoder, type DecoderOptions } from './decoder.ts'
import { NarCheck } from './nar-check.ts'
import type { AssemblyRecord } from './sqlite/queries.ts'
import type { NarFile, Records } from './sqlite/records.ts'
import type { Decoder } from './stream-decoder.ts'
import { Refused } from './types.ts'

const readBytes = 256 * 1024

export class Follower {
  readonly #assembly: AssemblyRecord
  readonly #folder: string
  readonly #disk: Disk
  readonly #records: Records
  readonly #check: NarCheck
  readonly #fileHash = createHash('sha256')
  readonly #decoder: Decoder
  #file: WritableFile | undefined
  #parts = 0
  #bytes = 0

  constructor(assembly: AssemblyRecord, folder: string, disk: Disk, records: Records, options: DecoderOptions) {
    this.#assembly = assembly
    this.#folder = folder
    this.#disk = disk
    this.#records = records
    this.#check = new NarCheck(assembly.narSize)
    this.#decoder = createDecoder('zstd', (bytes) => this.#check.push(bytes), options)
  }

  get grownFile(): string {
    return join(this.#folder, 'nar')
  }

  /**
   * Appends what is there in order. Resolves to the finished file when all of the NAR is in it and was found right.
   * @throws {Refused} when it is wrong
   */
  async advance(): Promise<(NarFile & { readonly compression: Compression }) | undefined> {
    const { id, narSize, partBytes } = this.#assembly
    await this.#start()
    const count = countParts(narSize, partBytes)
    while (this.#parts < count) {
      if (this.#records.waitingParts(id)[0] !== this.#parts) return undefined
      await this.#append(join(this.#folder, String(this.#parts)))
    }
    return await this.#finish()
  }

  async close(): Promise<void> {
    this.#decoder.close()
    await this.#file?.close().catch(() => {})
    this.#file = undefined
  }

  async #start(): Promise<void> {
    if (this.#file !== undefined) return
    const { flushedParts, flushedBytes } = this.#records.findAssemblyById(this.#assembly.id) ?? this.#assembly
    this.#file = await this.#disk.reopen(this.grownFile, flushedBytes)
    if (flushedBytes > 0) await this.#feed(this.grownFile, flushedBytes, () => Promise.resolve())
    this.#parts = flushedParts
    this.#bytes = flushedBytes
  }

  async #append(part: string): Promise<void> {
    const { id } = this.#assembly
    await this.#feed(part, Number.MAX_SAFE_INTEGER, async (bytes) => {
      await this.#file!.write(bytes)
      this.#bytes += bytes.length
    })
    await this.#file!.sync()
    // The name of the growing file, and the folder's own, were flushed with the first part.
    this.#parts++
    await this.#records.transaction(() => this.#records.setFlushed(id, this.#parts, this.#bytes))
    await this.#disk.unlink(part)
  }

  async #feed(path: string, limit: number, alsoTake: (bytes: Buffer) => Promise<void>): Promise<void> {
    for await (const chunk of createReadStream(path, { highWaterMark: readBytes, end: limit - 1 })) {
      const bytes = chunk as Buffer
      this.#fileHash.update(bytes)
      await this.#decoder.write(bytes)
      await alsoTake(bytes)
    }
  }

  async #finish(): Promise<NarFile & { readonly compression: Compression }> {
    const { narHash, narSize } = this.#assembly
    await this.#decoder.end()
    const nar = this.#check.end()
    if (nar.narHash !== narHash || nar.narSize !== narSize) {
      throw new Refused(
        'mismatch',
        `The parts make a NAR with hash ${nar.narHash} and ${nar.narSize} bytes, not ${narHash} and ${narSize}. Run "nix-store --verify-path" and push again`,
      )
    }
    await this.#file!.close()
    this.#file = undefined
    return { ...nar, compression: 'zstd', fileHash: formatSha256(this.#fileHash.digest()), fileSize: this.#bytes }
  }
}
