/**
 * The larder's directory on disk: whether it is a larder, whether another process uses it, and its files. Nothing that
 * is not ours by its name is ever touched, and a directory full of other things is refused before anything is written
 * to it.
 */
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { DirectorySync } from '../disk/directory-sync.ts'
import { systemDisk } from '../disk/disk.ts'
import { isWithoutLocks, tryFileLock } from '../disk/lock.ts'
import { removeIfPresent } from '../disk/remove-if-present.ts'
import { Fault } from '../faults.ts'
import type { Log } from '../log.ts'
import { isLarderName, isNeutralName, isOurName, isTempName, lockName, tagName } from './file-name.ts'

const tag = `Signature: 8a477f597d28d172789f06886806bc55
# The larder of a Burrow binary cache: compressed NARs that are made again when they are missing.
# Backups may leave this directory out (https://bford.info/cachedir/).
`

/** Longer than any compression takes. */
const abandonedAfterMs = 24 * 3_600_000

/** The configuration names a directory that this larder must not use. */
export class DirectoryRefused extends Fault {
  constructor(message: string) {
    super('larder-unwritable', message)
  }
}

export interface Claim {
  readonly names: readonly string[]
  readonly problem: unknown
}

export class Directory {
  readonly dir: string
  readonly #log: Log
  readonly #now: () => number
  readonly #random: () => string
  #isSwept = false
  #lock: Disposable | 'impossible' | undefined
  #hasWarnedOfStrangers = false
  readonly #removals = new Map<string, Promise<void>>()
  readonly #sync = new DirectorySync(systemDisk)

  constructor(dir: string, log: Log, now: () => number, random: () => string) {
    this.dir = dir
    this.#log = log
    this.#now = now
    this.#random = random
  }

  exists(): Promise<boolean> {
    return isPresent(this.dir)
  }

  pathOf(name: string): string {
    return join(this.dir, name)
  }

  newTempPath(): string {
    return join(this.dir, `tmp-${this.#random()}`)
  }

  /**
   * Makes the directory if it is missing, takes the lock, removes what killed runs left behind and reads the names. May
   * be called again. `problem` says why nothing can be written, if so: what is kept can be served all the same.
   * @throws {DirectoryRefused} when another process or another purpose has it. Rejects with the system's error when it
   * cannot even be read.
   */
  async claim(): Promise<Claim> {
    await mkdir(this.dir, { recursive: true, mode: 0o700 })
    const isTagged = (await readFile(this.pathOf(tagName), 'utf8').catch(() => '')) === tag
    if (!isTagged) this.#refuseStrangers(await readdir(this.dir))
    let problem: unknown
    try {
      // If the directory was removed and made again, the lock file is missing.
      if (this.#lock === undefined || (this.#lock !== 'impossible' && !(await isPresent(this.pathOf(lockName)))))
        this.#takeLock()
      if (!isTagged) await writeFile(this.pathOf(tagName), tag, { mode: 0o600 })
    } catch (error) {
      if (error instanceof DirectoryRefused) throw error
      problem = error
    }
    const names = await readdir(this.dir)
    if (problem === undefined && !this.#isSwept) await this.#sweep(names.filter(isTempName))
    return { names, problem }
  }

  /**
   * Under the lock, and before this process makes any, temporaries are those of the dead; without a lock, when they
   * have lain there for a day.
   */
  async #sweep(names: readonly string[]): Promise<void> {
    this.#isSwept = true
    for (const name of names) {
      const path = this.pathOf(name)
      const isDead =
        this.#lock !== 'impossible' ||
        (await stat(path).then(
          ({ mtimeMs }) => this.#now() - mtimeMs > abandonedAfterMs,
          () => false,
        ))
      if (isDead) await this.removeTemp(path)
    }
  }

  #refuseStrangers(names: readonly string[]): void {
    const foreign = names.filter((name) => !isNeutralName(name))
    if (foreign.length === 0 || names.some(isLarderName)) return
    throw new DirectoryRefused(
      `Cannot use "${this.dir}" as larder: it holds "${foreign[0]}" and ${foreign.length - 1} more, and was not made by Burrow. Name an empty directory, or one that does not exist yet`,
    )
  }

  /** Says once what is not ours among these names. */
  warnOfStrangers(names: readonly string[]): void {
    if (this.#hasWarnedOfStrangers) return
    const foreign = names.filter((name) => !isOurName(name) && !isNeutralName(name))
    if (foreign.length === 0) return
    this.#hasWarnedOfStrangers = true
    this.#log.warn(
      { dir: this.dir, count: foreign.length, example: foreign[0] },
      'The larder contains files of other programs: they are left alone and do not count towards its size',
    )
  }

  #takeLock(): void {
    // The lock file was removed, so this lock no longer keeps other processes out.
    if (this.#lock !== 'impossible') this.#lock?.[Symbol.dispose]()
    this.#lock = undefined
    try {
      this.#lock = tryFileLock(this.pathOf(lockName))
    } catch (error) {
      if (!isWithoutLocks(error)) throw error
      this.#log.warn(
        { dir: this.dir, err: error },
        'The larder is on a file system without locks: make sure that no other Burrow uses it',
      )
      this.#lock = 'impossible'
    }
    if (this.#lock !== undefined) return
    throw new DirectoryRefused(
      `Cannot open larder "${this.dir}": another Burrow process is using it. Stop that one, or give each a directory of its own`,
    )
  }

  /** Removes a file of ours; one that is gone already is fine. Rejects with the system's error. */
  remove(name: string): Promise<void> {
    const removal = removeIfPresent(this.pathOf(name)).finally(() => void this.#removals.delete(name))
    this.#removals.set(name, removal)
    return removal
  }

  /** Removes a temporary; should it stay, the next start sweeps it. */
  async removeTemp(tempPath: string): Promise<void> {
    await removeIfPresent(tempPath).catch((error: unknown) =>
      this.#log.debug({ file: tempPath, err: error }, 'Cannot remove a temporary file'),
    )
  }

  /**
   * Gives a finished temporary its name, for good: once this has resolved the file outlives a power cut. Rejects with
   * the system's error.
   */
  async publish(tempPath: string, name: string): Promise<void> {
    // A removal of the file's predecessor that is still under way would take the new one with it.
    await this.#removals.get(name)?.catch(() => {})
    await rename(tempPath, this.pathOf(name))
    await this.#sync.sync(this.dir).catch((error: unknown) =>
      // Some network file systems cannot; a rename that is lost costs a compression, nothing else.
      this.#log.debug({ dir: this.dir, err: error }, 'Cannot sync the larder directory'),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#lock !== 'impossible') this.#lock?.[Symbol.dispose]()
    this.#lock = undefined
  }
}

function isPresent(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
