/**
 * Files and rows of NARs kept in step. Putting: files first (flushed, renamed, folders flushed), rows afterwards, many
 * NARs in one transaction. Removing: row first, file afterwards. Both hold a lock on the NAR hash, so that a removal
 * never deletes the file of a NAR that was stored again in the meantime.
 */
import { Semaphore } from '../../nar/semaphore.ts'
import type { Compression } from '../../nix/nar-info.ts'
import { type DepotFiles, narKey } from './depot-files.ts'
import { KeyMutex } from './mutex.ts'
import type { NarFile, Records } from './sqlite/records.ts'

export interface NarFileName {
  readonly narHash: string
  readonly fileHash: string
  readonly compression: string
}

/** A checked and flushed file that is to be stored. */
export interface NewNar {
  readonly file: NarFile & { readonly compression: Compression }
  readonly localFile: string
  /** Runs in the transaction that stores the row. `isTaken`: the file is now the depot's. */
  readonly alsoWrite: (isTaken: boolean) => void
}

const removalsAtOnce = 8

export class NarShelf {
  readonly #records: Records
  readonly #files: DepotFiles
  readonly #mutex = new KeyMutex()
  readonly #removals = new Semaphore(removalsAtOnce)

  constructor(records: Records, files: DepotFiles) {
    this.#records = records
    this.#files = files
  }

  /**
   * Stores files, or leaves a file where it is when its NAR is here already. The NAR hashes must differ. Resolves, when
   * all of it survives a power cut, to whether each file was taken. If it rejects, none was.
   */
  put(nars: readonly NewNar[], now: number): Promise<readonly boolean[]> {
    return this.#mutex.runAll(
      nars.map(({ file }) => file.narHash),
      async () => {
        const isTaken = new Map<NewNar, boolean>()
        for (let left = nars; left.length > 0; left = left.filter((nar) => !isTaken.has(nar)))
          await this.#putUnlessKnown(left, now, isTaken)
        return nars.map((nar) => isTaken.get(nar)!)
      },
    )
  }

  /** Leaves out NARs that were here at first and that a collection has removed before the transaction. */
  async #putUnlessKnown(nars: readonly NewNar[], now: number, isTaken: Map<NewNar, boolean>): Promise<void> {
    const looked = nars.map((nar) => ({ nar, before: this.#records.findNar(nar.file.narHash) }))
    const wanted = looked.filter(({ before }) => before?.isDamaged !== false)
    const known = looked.filter(({ before }) => before?.isDamaged === false)
    try {
      await this.#files.put(wanted.map(({ nar: { file, localFile } }) => ({ key: narKey(file), localFile })))
      const done = await this.#records.transaction(() => {
        for (const { nar } of wanted) {
          this.#records.addNar(nar.file, now)
          nar.alsoWrite(true)
        }
        const present = known.filter(({ nar }) => this.#records.findNar(nar.file.narHash) !== undefined)
        for (const { nar } of present) nar.alsoWrite(false)
        return present
      })
      for (const { nar } of wanted) isTaken.set(nar, true)
      for (const { nar } of done) isTaken.set(nar, false)
    } catch (error) {
      for (const { nar } of wanted) await this.#removeUnlessNeeded(nar.file).catch(() => {})
      throw error
    }
    for (const { nar, before } of wanted)
      if (before !== undefined && narKey(before) !== narKey(nar.file)) await this.#removeUnlessNeeded(before)
  }

  /** After their rows have gone. */
  async remove(names: readonly NarFileName[]): Promise<void> {
    await Promise.all(
      names.map((name) =>
        this.#removals.run(() => this.#mutex.run(name.narHash, () => this.#removeUnlessNeeded(name))),
      ),
    )
  }

  async #removeUnlessNeeded(name: NarFileName): Promise<void> {
    const row = this.#records.findNar(name.narHash)
    if (row === undefined || narKey(row) !== narKey(name)) await this.#files.remove(narKey(name))
  }
}
