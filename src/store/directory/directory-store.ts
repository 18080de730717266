/**
 * A binary cache folder as `nix copy --to file:///srv/cache` makes it, read-only:
 *
 *     nix-cache-info · <hash part>.narinfo · nar/<file hash>.nar.xz · log/<drv> · realisations/<id>.doi
 *
 * Records are read from the narinfo files with each look-up, so what is copied into the folder or deleted from it
 * counts at once. A NAR is served as it is stored; before its first byte it is checked against the file hash and the
 * NAR hash of its narinfo.
 */

import { join } from 'node:path'
import { Readable } from 'node:stream'

import type { ChunkReader } from '../../chunks.ts'
import { readIfPresent } from '../../disk/read-if-present.ts'
import { StoredFiles } from '../../disk/stored-files.ts'
import { Fault } from '../../faults.ts'
import type { Log } from '../../log.ts'
import { createDecompressor, type Decompressors } from '../../nar/decompress.ts'
import { verifyNar } from '../../nar/verify.ts'
import { parseCacheInfo } from '../../nix/cache-info.ts'
import { type NarInfo, toPathInfo } from '../../nix/nar-info.ts'
import { parseBaseName } from '../../nix/store-path.ts'
import { filteredReader } from '../../stream-reader.ts'
import { createFileForm } from '../file-form.ts'
import type { StoreHealth } from '../health.ts'
import { noLeases, type Realisation, type Store, type StoreObject } from '../store.ts'
import { type CacheRecord, describeState, parseRealisation, parseRecord } from './cache-record.ts'

export interface DirectoryStoreOptions {
  /** Absolute. */
  readonly dir: string
  /** What the folder's own `nix-cache-info` must say, if it says anything. */
  readonly storeDir: string
  /** Programs for the compressions that node:zlib cannot read. */
  readonly decompressors: Decompressors
  readonly log: Log
}

/** Never rejects for a folder that is absent or unreadable: each look-up is a fault then, and `health` says why. */
export async function openDirectoryStore(options: DirectoryStoreOptions): Promise<Store> {
  const store = new DirectoryStore(options)
  await store.start()
  return store
}

const maxRecordBytes = 1024 * 1024
const maxLogBytes = 64 * 1024 * 1024

class DirectoryStore implements Store {
  readonly name: string
  readonly storeDir: string
  readonly leases = noLeases
  readonly #dir: string
  readonly #log: Log
  readonly #decompressors: Decompressors
  readonly #files = new StoredFiles()
  readonly #records = new WeakMap<StoreObject, CacheRecord>()
  /** Store path to the record and file that were found wrong: with another record or file it is served again. */
  readonly #withdrawn = new Map<string, string>()
  #withdrawals = 0
  #problem: string | undefined

  constructor({ dir, storeDir, decompressors, log }: DirectoryStoreOptions) {
    this.name = `directory:${dir}`
    this.storeDir = storeDir
    this.#dir = dir
    this.#log = log
    this.#decompressors = decompressors
  }

  /** Reads `nix-cache-info`, so that what is wrong is in the log at the start. */
  async start(): Promise<void> {
    await this.#requireReadable().catch((fault: Fault) => {
      this.#log.error({ store: this.name, reason: fault.message }, 'A binary cache folder cannot be served')
    })
  }

  /** Nothing is found here without a promise, so nothing that is remembered depends on this number. */
  generation(): number {
    return 0
  }

  async find(hashPart: string, fits?: (object: StoreObject) => boolean): Promise<StoreObject | undefined> {
    const record = await this.#readRecord(hashPart)
    if (record === undefined || this.#isWithdrawn(record)) return undefined
    const object = this.#toObject(record)
    return fits === undefined || fits(object) ? object : undefined
  }

  findSystem(): undefined {
    return undefined
  }

  withdraw(object: StoreObject, fault: Fault): void {
    const { storePath } = object.info
    const record = this.#records.get(object)
    if (record === undefined) throw new Error(`Cannot withdraw "${storePath}": it is not of ${this.name}`)
    this.#withdrawn.set(storePath, describeState(record))
    this.#withdrawals++
    this.#log.error(
      { storePath, store: this.name, code: fault.code, err: fault },
      'A store path was withdrawn: its stored NAR contradicts its narinfo',
    )
  }

  async openLog(drvBaseName: string): Promise<Readable | undefined> {
    if (parseBaseName(drvBaseName) === undefined) return undefined
    const log = await readIfPresent(join(this.#dir, 'log', drvBaseName), maxLogBytes)
    return log && Readable.from([log])
  }

  async findRealisation(id: string): Promise<Realisation | undefined> {
    const text = await this.#readText(`realisations/${id}.doi`)
    return text === undefined ? undefined : parseRealisation(text)
  }

  health(): StoreHealth {
    return {
      name: this.name,
      type: 'directory',
      location: this.#dir,
      isReadable: this.#problem === undefined,
      mode: undefined,
      problem: this.#problem,
      withdrawn: { now: this.#withdrawn.size, total: this.#withdrawals },
      leases: undefined,
    }
  }

  async #readRecord(hashPart: string): Promise<CacheRecord | undefined> {
    const text = await this.#readText(`${hashPart}.narinfo`)
    // An absent file is a miss only if the folder itself is there.
    if (text === undefined) return void (await this.#requireReadable())
    return parseRecord(text, hashPart, { dir: this.#dir, storeDir: this.storeDir })
  }

  #toObject(record: CacheRecord): StoreObject {
    const { narInfo, narFile } = record
    const { compression, fileHash, fileSize } = narInfo
    const file = {
      path: narFile,
      size: fileSize,
      hash: fileHash,
      examine: (contents: ChunkReader) => this.#verify(contents, narInfo),
    }
    const object: StoreObject = {
      info: toPathInfo(narInfo),
      form: createFileForm(
        { compression, fileHash, fileSize, open: (range) => this.#files.open(file, range) },
        this.#decompressors,
      ),
      store: this,
      trust: 'ours',
    }
    this.#records.set(object, record)
    return object
  }

  #verify(contents: ChunkReader, { compression, narHash, narSize }: NarInfo): Promise<void> {
    const decompressor = createDecompressor(compression, this.#decompressors)
    return verifyNar(decompressor === undefined ? contents : filteredReader(contents, decompressor), {
      narHash,
      narSize,
    })
  }

  #isWithdrawn(record: CacheRecord): boolean {
    const { storePath } = record.narInfo
    const found = this.#withdrawn.get(storePath)
    if (found === undefined || found === describeState(record)) return found !== undefined
    this.#withdrawn.delete(storePath)
    this.#log.info({ storePath, store: this.name }, 'A withdrawn store path is back in service')
    return false
  }

  async #requireReadable(): Promise<void> {
    const text = await this.#readText('nix-cache-info')
    const storeDir = text === undefined ? undefined : parseCacheInfo(text)?.storeDir
    if (text === undefined) this.#problem = `"${this.#dir}" is no binary cache: it has no nix-cache-info`
    else if (storeDir !== undefined && storeDir !== this.storeDir)
      this.#problem = `"${this.#dir}" is a cache for "${storeDir}", not for "${this.storeDir}"`
    else this.#problem = undefined
    if (this.#problem !== undefined) throw new Fault('store-unavailable', this.#problem)
  }

  async #readText(name: string): Promise<string | undefined> {
    try {
      return (await readIfPresent(join(this.#dir, name), maxRecordBytes))?.toString()
    } catch (cause) {
      this.#problem = `Cannot read "${join(this.#dir, name)}": ${(cause as Error).message}`
      throw new Fault('store-unavailable', this.#problem, { cause })
    }
  }
}
