/**
 * Directory syncs, shared: calls that come while one of the same directory is under way wait for the next, so that many
 * files cost one journal commit.
 */
import type { Disk } from './disk.ts'

interface Syncing {
  readonly running: Promise<void>
  next: Promise<void> | undefined
}

export class DirectorySync {
  readonly #disk: Disk
  readonly #byDirectory = new Map<string, Syncing>()

  constructor(disk: Disk) {
    this.#disk = disk
  }

  /**
   * Resolves when all that was done in the directory before this call survives a power cut. Rejects with the system's
   * error.
   */
  sync(dir: string): Promise<void> {
    const syncing = this.#byDirectory.get(dir)
    if (syncing === undefined) return this.#start(dir)
    syncing.next ??= syncing.running.then(
      () => this.#start(dir),
      () => this.#start(dir),
    )
    return syncing.next
  }

  #start(dir: string): Promise<void> {
    const running = this.#disk.syncDirectory(dir).finally(() => {
      if (this.#byDirectory.get(dir)?.running === running) this.#byDirectory.delete(dir)
    })
    this.#byDirectory.set(dir, { running, next: undefined })
    return running
  }
}
