/** Reads parts of a base's files for a decoder. The last file stays open: pieces of a large file come one after another. */
import { Fault } from '../faults.ts'
import type { BaseFile, BaseFiles } from './base-files.ts'
import { limits, unusable } from './format.ts'
import type { BaseReference } from './instructions.ts'
import { isName } from './nar-encoder.ts'

export class BaseRanges {
  readonly #files: BaseFiles
  #path: Buffer | undefined
  #file: BaseFile | undefined

  constructor(files: BaseFiles) {
    this.#files = files
  }

  /**
   * Rejects with delta-unusable, whatever the reason: a path that is none, no such file, another size, an error.
   * @param samePath what is meant by a reference without a path
   */
  async open({ path, size }: BaseReference, samePath: Buffer): Promise<void> {
    const wanted = path ?? samePath
    if (this.#path === undefined || !this.#path.equals(wanted)) {
      this.close()
      requirePath(wanted)
      this.#path = Buffer.from(wanted)
      try {
        this.#file = await this.#files.open(this.#path)
      } catch (error) {
        throw baseUnusable(error)
      }
    }
    if (this.#file?.size !== size)
      throw unusable(`a file of the base has ${this.#file?.size} bytes, and the delta is made for ${size}`)
  }

  /** Of the file that was opened last. */
  async read(into: Buffer, position: number): Promise<void> {
    try {
      await this.#file?.read(into, position)
    } catch (error) {
      throw baseUnusable(error)
    }
  }

  close(): void {
    this.#file?.close()
    this.#file = undefined
    this.#path = undefined
  }
}

/** Empty for the top; nothing that leads out of the base. */
function requirePath(path: Buffer): void {
  if (path.length > limits.pathBytes) throw unusable('a path of the base is too long')
  if (path.length === 0) return
  for (let start = 0; start <= path.length; ) {
    const slash = path.indexOf(0x2f, start)
    const end = slash === -1 ? path.length : slash
    if (!isName(path.subarray(start, end))) throw unusable('it refers to an invalid path')
    start = end + 1
  }
}

function baseUnusable(error: unknown): Fault {
  if (error instanceof Fault && error.code === 'abandoned') return error
  return unusable(`its base cannot be read: ${(error as Error).message}`, { cause: error })
}
