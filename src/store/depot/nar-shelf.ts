/**
 * Files and rows of NARs kept in step. Putting: file first (flushed, renamed, folder flushed), row afterwards.
 * Removing: row first, file afterwards. Both hold a lock on the NAR hash, so that a removal never takes the file of a
 * NAR that has come again meanwhile.
 */
import type { Compression } from '../../nix/nar-info.ts'
import { type DepotFiles, narKey } from './depot-files.ts'
import { KeyMutex } from './mutex.ts'
import type { NarFile, Records } from './sqlite/records.ts'

export interface NarFileName {
  readonly narHash: string
  readonly fileHash: string
  readonly compression: string
}

export class NarShelf {
  readonly #records: Records
  readonly #files: DepotFiles
  readonly #mutex = new KeyMutex()

  constructor(records: Records, files: DepotFiles) {
    this.#records = records
    this.#files = files
  }

  /**
   * Puts a checked, flushed file on the shelf, or leaves it where it is when the NAR is here already. `alsoWrite` runs
   * in the same transaction and learns whether the file was taken. Resolves to the same when all of it survives a power
   * cut.
   */
  put(
    file: NarFile & { readonly compression: Compression },
    localFile: string,
    now: number,
    alsoWrite: (isTaken: boolean) => void,
  ): Promise<boolean> {
    return this.#mutex.run(file.narHash, async () => {
      const before = this.#records.findNar(file.narHash)
      const isWanted = before === undefined || before.isDamaged
      if (isWanted) await this.#files.put(narKey(file), localFile)
      try {
        await this.#records.transaction(() => {
          if (isWanted) this.#records.addNar(file, now)
          // The row cannot have gone since: removals commit under no lock, but take only what nothing claims.
          else if (this.#records.findNar(file.narHash) === undefined) throw new NarRemoved()
          alsoWrite(isWanted)
        })
      } catch (error) {
        if (isWanted) await this.#removeUnlessNeeded(file).catch(() => {})
        throw error
      }
      if (before !== undefined && isWanted && narKey(before) !== narKey(file)) await this.#removeUnlessNeeded(before)
      return isWanted
    })
  }

  /** After their rows have gone. */
  async remove(names: readonly NarFileName[]): Promise<void> {
    for (const name of names) await this.#mutex.run(name.narHash, () => this.#removeUnlessNeeded(name))
  }

  async #removeUnlessNeeded(name: NarFileName): Promise<void> {
    const row = this.#records.findNar(name.narHash)
    if (row === undefined || narKey(row) !== narKey(name)) await this.#files.remove(narKey(name))
  }
}

/** A collection took the NAR between the look at it and the claim on it: put the file again. */
export class NarRemoved extends Error {
  override readonly name = 'NarRemoved'
}
