/**
 * The depot's files as clients read them: whole or in ranges, found right in this process before their first byte goes
 * out, and again when a file's stamp is not what it was. A file that is missing or damaged takes its paths out of
 * service.
 */
import { join } from 'node:path'

import type { ByteRange, Chunk, ChunkReader } from '../../chunks.ts'
import { StoredFiles } from '../../disk/stored-files.ts'
import { condemnsStoreObject, Fault } from '../../faults.ts'
import { narKey } from './depot-files.ts'
import type { NarRecord } from './types.ts'

export class KeptNars {
  readonly #dir: string
  readonly #files = new StoredFiles()
  readonly #onDamaged: (nar: NarRecord, fault: Fault) => void

  /** `onDamaged` takes what needs this file out of service. */
  constructor(dir: string, onDamaged: (nar: NarRecord, fault: Fault) => void) {
    this.#dir = dir
    this.#onDamaged = onDamaged
  }

  /** @throws {Fault} `nar-mismatch` when the file is not what it was, `busy` for want of descriptors */
  async open(nar: NarRecord, range?: ByteRange): Promise<ChunkReader> {
    const key = narKey(nar)
    try {
      const reader = await this.#files.open(
        { path: join(this.#dir, key), size: nar.fileSize, hash: nar.fileHash },
        range,
      )
      return { next: () => this.#next(reader, nar), close: () => reader.close() }
    } catch (error) {
      throw this.#toFault(nar, error)
    }
  }

  async #next(reader: ChunkReader, nar: NarRecord): Promise<Chunk | undefined> {
    try {
      return await reader.next()
    } catch (error) {
      throw this.#toFault(nar, error)
    }
  }

  #toFault(nar: NarRecord, error: unknown): unknown {
    const { code = '' } = ((error as Error).cause ?? error) as NodeJS.ErrnoException
    if (['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'].includes(code))
      return new Fault('busy', 'Cannot open a file of the depot at the moment', { cause: error })
    if (!condemnsStoreObject(error)) return error
    const fault = new Fault('nar-mismatch', `The file "${narKey(nar)}" of the depot is missing or damaged`, {
      cause: error,
    })
    this.#onDamaged(nar, fault)
    return fault
  }
}
