/**
 * Files with known contents: one is read and hashed before its first byte is sent, and again when its stamp has changed.
 * Checks of the same file are shared.
 */
import type { ByteRange, ChunkReader } from '../chunks.ts'
import { type FileStamp, isSameStamp, isSettled } from './file-stamp.ts'
import { openHandle, RangeReader, type StoredFile, stampOf, WholeReader } from './stored-file.ts'

const maxRemembered = 100_000

export class StoredFiles {
  /** Path to the stamp under which it was found right. */
  readonly #checked = new Map<string, FileStamp>()
  readonly #checks = new Map<string, Promise<void>>()

  /** Rejects with nar-mismatch (wrong contents), nar-changed (removed or replaced) or nar-unreadable. */
  async open(file: StoredFile, range?: ByteRange): Promise<ChunkReader> {
    const handle = await openHandle(file)
    try {
      const stamp = await stampOf(handle, file)
      const checked = this.#checked.get(file.path)
      if (checked === undefined || !isSameStamp(checked, stamp)) await this.#checkOnce(file, stamp)
      return range === undefined
        ? new WholeReader(handle, file, () => this.forget(file.path))
        : new RangeReader(handle, file, range, stamp)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** The next reader checks it again. */
  forget(path: string): void {
    this.#checked.delete(path)
  }

  #checkOnce(file: StoredFile, stamp: FileStamp): Promise<void> {
    const key = JSON.stringify([file.path, stamp])
    let check = this.#checks.get(key)
    if (check === undefined) {
      check = this.#check(file, stamp).finally(() => this.#checks.delete(key))
      this.#checks.set(key, check)
    }
    return check
  }

  async #check(file: StoredFile, stamp: FileStamp): Promise<void> {
    const reader = new WholeReader(await openHandle(file), file, () => {})
    if (file.examine === undefined) await drain(reader)
    else await file.examine(reader)
    if (this.#checked.size >= maxRemembered) this.#checked.clear()
    // What was written a moment ago may be written again without another time: it is checked again.
    if (isSettled(stamp)) this.#checked.set(file.path, stamp)
  }
}

async function drain(reader: ChunkReader): Promise<void> {
  try {
    for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) chunk.release()
  } finally {
    reader.close()
  }
}
