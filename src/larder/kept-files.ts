/**
 * The kept files as they are used: opened and compared with what their names say, dropped when they are not what they
 * should be. A file that was deleted or truncated behind our back is no error: it is made again.
 */
import type { OpenFile, OpenFiles } from '../disk/open-files.ts'
import { Fault } from '../faults.ts'
import type { Log } from '../log.ts'
import type { Directory } from './directory.ts'
import { type KeptName, parseKeptName } from './file-name.ts'
import { KeptSource } from './kept-source.ts'
import { Proofs } from './proofs.ts'
import type { KeptFile, Shelf } from './shelf.ts'
import { isSmall, SmallNars } from './small-nars.ts'
import { UseTimes } from './use-times.ts'

export class KeptFiles {
  readonly proofs: Proofs
  readonly #uses: UseTimes
  readonly #shelf: Shelf
  readonly #files: OpenFiles
  readonly #directory: Directory
  readonly #small: SmallNars
  readonly #log: Log
  readonly #loading = new Map<KeptFile, Promise<Uint8Array | undefined>>()
  #damaged = 0

  constructor(
    shelf: Shelf,
    files: OpenFiles,
    directory: Directory,
    small: SmallNars,
    log: Log,
    now: () => number,
    steadyNow: () => number,
  ) {
    this.#shelf = shelf
    this.#files = files
    this.#directory = directory
    this.#small = small
    this.#log = log
    const drop = (kept: KeptFile, cause: unknown) => this.#drop(kept, cause)
    this.proofs = new Proofs(drop, steadyNow)
    this.#uses = new UseTimes(shelf, directory, this.proofs, now, drop)
  }

  get damaged(): number {
    return this.#damaged
  }

  /**
   * Puts on the shelf what a directory's names say; a second file for the same NAR and recipe is removed. Returns the
   * names that are no kept files'.
   */
  adopt(names: readonly string[]): string[] {
    const others: string[] = []
    for (const name of names) {
      if (this.#shelf.add(name) !== undefined) continue
      const parts = parseKeptName(name)
      if (parts === undefined) others.push(name)
      else if (!this.#isOnShelf(name, parts)) this.#remove(name)
    }
    return others
  }

  #isOnShelf(name: string, { narHash, recipe }: KeptName): boolean {
    return this.#shelf.find(narHash)?.name === name || this.#shelf.findOther(narHash, recipe)?.name === name
  }

  #remove(name: string): void {
    this.#directory
      .remove(name)
      .catch((error: unknown) =>
        this.#log.warn(
          { file: name, err: error },
          'Cannot remove a file from the larder: it uses more room than is counted',
        ),
      )
  }

  /** Learns in the background in which order the files were used. */
  gatherAges(): Promise<void> {
    return this.#uses.gather()
  }

  use(kept: KeptFile): void {
    this.#uses.note(kept)
  }

  /** Reads a small file whole, or resolves to undefined when it turned out to be bad and was dropped. */
  load(kept: KeptFile): Promise<Uint8Array | undefined> {
    const loading = this.#loading.get(kept)
    if (loading !== undefined) return loading
    const started = this.#load(kept).finally(() => this.#loading.delete(kept))
    this.#loading.set(kept, started)
    return started
  }

  async #load(kept: KeptFile): Promise<Uint8Array | undefined> {
    this.#shelf.pin(kept)
    const file = await this.#open(kept)
    if (file === undefined) return undefined
    try {
      // Files of other recipes have the same NAR hash, and are asked for once a month.
      const small = this.#shelf.find(kept.narHash) === kept ? this.#small : undefined
      return await (small ?? noMemory).read(kept.narHash, kept.fileHash, file, kept.fileSize)
    } catch (error) {
      this.#drop(kept, error)
      return undefined
    } finally {
      file.release()
      this.#shelf.unpin(kept)
    }
  }

  /**
   * Opens a file for one reader, who wants the whole or a part. Takes as long as reading it when it was not read yet,
   * or has changed since. Resolves to undefined when it turned out to be bad and was dropped. @throws {Fault} busy,
   * abandoned
   */
  async openSource(kept: KeptFile, isForWhole: boolean): Promise<KeptSource | undefined> {
    this.#shelf.pin(kept)
    const file = await this.#open(kept)
    if (file === undefined) return undefined
    let isRight = false
    try {
      this.#uses.markOpen(kept, file)
      isRight = await this.proofs.prove(kept, file)
    } finally {
      if (!isRight) {
        file.release()
        this.#shelf.unpin(kept)
      }
    }
    return isRight
      ? new KeptSource(kept, file, this.#shelf, this.proofs.trustIn(kept, file, isForWhole), this.proofs)
      : undefined
  }

  /** The pin is given back when there is no file. */
  async #open(kept: KeptFile): Promise<OpenFile | undefined> {
    let file: OpenFile | undefined
    try {
      file = this.#files.find(kept.name) ?? (await this.#files.open(this.#directory.pathOf(kept.name)))
      if (!file.isWhole(kept.fileSize)) throw new Error('It is shorter or longer than its name says, or was deleted')
      if (!isSmall(kept)) this.#files.remember(kept.name, file)
      return file
    } catch (error) {
      file?.release()
      this.#shelf.unpin(kept)
      if (isWantOfMeans(error))
        throw new Fault('busy', `Cannot open "${kept.name}" in the larder at the moment`, { cause: error })
      this.#drop(kept, error)
      return undefined
    }
  }

  /** Takes a file out of service. Returns the fault for those who are reading it. */
  #drop(kept: KeptFile, cause: unknown): Fault {
    const fault = new Fault(
      'larder-damaged',
      `Cannot read "${kept.name}" in the larder: it is not what it was when it was kept`,
      { cause },
    )
    if (!this.#shelf.remove(kept)) return fault
    this.#damaged++
    this.#files.forget(kept.name)
    this.#log.warn(
      { file: kept.name, err: cause },
      'A kept file is missing, truncated or damaged: it is removed, and made again when it is requested',
    )
    this.#remove(kept.name)
    return fault
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#uses.stop()
    await this.proofs[Symbol.asyncDispose]()
    await this.#uses.settle()
    await Promise.allSettled(this.#loading.values())
  }
}

const noMemory = new SmallNars(0)

function isWantOfMeans(error: unknown): boolean {
  return ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'].includes((error as NodeJS.ErrnoException).code ?? '')
}
