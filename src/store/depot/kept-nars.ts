/**
 * The depot's files as clients read them: whole or in ranges, verified once in this process before the last chunk goes out, and again when a file's
 * identity (device, inode, size, times) is not what it was.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'

import type { ChunkReader } from '../../chunks.ts'
import { Fault } from '../../faults.ts'
import { ChunkBuffers } from '../../larder/chunk-buffers.ts'
import { FileReader } from '../../larder/file-reader.ts'
import { type OpenFile, OpenFiles } from '../../larder/open-files.ts'
import { Changes, type Outcome, type Source } from '../../larder/source.ts'
import type { ByteRange } from '../../nar/packer.ts'
import { encodeNix32 } from '../../nix/nix32.ts'
import { narKey } from './depot-files.ts'
import { Semaphore } from './mutex.ts'
import type { NarRecord } from './types.ts'

/** One to read while the other's hash is computed. */
const checksAtOnce = 2
/** Hashing this much takes less than a millisecond. */
const stepBytes = 256 * 1024

interface Check {
  readonly identity: string
  readonly changes: Changes
  outcome: Outcome | undefined
}

export class KeptNars implements AsyncDisposable {
  readonly #dir: string
  readonly #files = new OpenFiles()
  readonly #buffers = new ChunkBuffers()
  readonly #checks = new Map<string, Check>()
  readonly #turns = new Semaphore(checksAtOnce)
  readonly #onDamaged: (nar: NarRecord, fault: Fault) => void
  #isClosed = false

  /** `onDamaged` takes what needs this file out of service. */
  constructor(dir: string, onDamaged: (nar: NarRecord, fault: Fault) => void) {
    this.#dir = dir
    this.#onDamaged = onDamaged
  }

  /** @throws {Fault} `nar-mismatch` when the file is not what it was, `busy` for want of descriptors */
  async open(nar: NarRecord, range?: ByteRange): Promise<ChunkReader> {
    const key = narKey(nar)
    const file = await this.#openFile(key, nar)
    return new FileReader(this.#sourceOf(key, nar, file), range, this.#buffers, () => {
      throw new Error('A kept NAR is never made again')
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await this.#files[Symbol.asyncDispose]()
  }

  async #openFile(key: string, nar: NarRecord): Promise<OpenFile> {
    let file = this.#files.find(key)
    if (file !== undefined && !file.isWhole(nar.fileSize)) {
      // Deleted, or replaced by the same NAR pushed again: the name may lead to a good one.
      file.release()
      this.#files.forget(key)
      file = undefined
    }
    try {
      file ??= await this.#files.open(join(this.#dir, key))
      if (!file.isWhole(nar.fileSize)) throw new Error('It is shorter or longer than it was, or was deleted')
      this.#files.remember(key, file)
      return file
    } catch (error) {
      file?.release()
      const { code = '' } = error as NodeJS.ErrnoException
      if (['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'].includes(code)) throw new Fault('busy', `Cannot open "${key}" of the depot at the moment`, { cause: error })
      throw this.#damaged(key, nar, error)
    }
  }

  #damaged(key: string, nar: NarRecord, cause: unknown): Fault {
    const fault = new Fault('nar-mismatch', `The file "${key}" of the depot is missing or damaged`, { cause })
    this.#files.forget(key)
    this.#checks.delete(key)
    this.#onDamaged(nar, fault)
    return fault
  }

  #sourceOf(key: string, nar: NarRecord, file: OpenFile): Source {
    const check = this.#checkOf(key, nar, file)
    return {
      file,
      readableBytes: nar.fileSize,
      size: nar.fileSize,
      get outcome() {
        return check.outcome
      },
      onChange: check.changes.onChange,
      condemn: (cause) => this.#damaged(key, nar, cause),
      leave: () => file.release(),
    }
  }

  #checkOf(key: string, nar: NarRecord, file: OpenFile): Check {
    const identity = file.identity()
    const known = this.#checks.get(key)
    if (known?.identity === identity) return known
    const check: Check = { identity, changes: new Changes(), outcome: undefined }
    this.#checks.set(key, check)
    file.retain()
    void this.#turns
      .run(() => this.#check(key, nar, file))
      .then((outcome) => {
        file.release()
        check.outcome = outcome
        // Of an abandoned check the next reader must not take the result.
        if (outcome.kind !== 'whole' && this.#checks.get(key) === check) this.#checks.delete(key)
        check.changes.announce()
      })
    return check
  }

  async #check(key: string, nar: NarRecord, file: OpenFile): Promise<Outcome> {
    try {
      const hash = createHash('sha256')
      const buffer = Buffer.allocUnsafeSlow(Math.min(stepBytes, nar.fileSize))
      for (let position = 0; position < nar.fileSize; ) {
        if (this.#isClosed) return { kind: 'fault', fault: new Fault('abandoned', 'Cannot check a file: the depot is closing') }
        const length = Math.min(buffer.length, nar.fileSize - position)
        if ((await file.read(buffer, length, position)) < length) throw new Error('It is shorter than it was')
        hash.update(buffer.subarray(0, length))
        position += length
      }
      const found = `sha256:${encodeNix32(hash.digest())}`
      if (found !== nar.fileHash) throw new Error(`Its bytes hash to ${found}`)
      return { kind: 'whole', size: nar.fileSize }
    } catch (error) {
      return { kind: 'fault', fault: this.#damaged(key, nar, error) }
    }
  }
}
