/**
 * One daemon connection with the temporary roots taken on it. The daemon's process appends each root to a file
 * (`temproots/<pid>`), where it counts until the connection ends: roots cannot be given back one by one, so holders are
 * short-lived and replaced.
 */
import type { Clock } from '../../clock.ts'
import type { DaemonConnection } from '../../daemon/daemon-connection.ts'

export class RootHolder implements Disposable {
  readonly openedAtMs: number
  /** When the last lease on this connection has run out. */
  lastEndMs = Number.NEGATIVE_INFINITY
  /** Transfers whose root is on this connection. */
  holds = 0
  readonly #connection: DaemonConnection
  readonly #clock: Clock
  readonly #rooted = new Set<string>()
  /** Requests the daemon has not acknowledged, and when they were sent. */
  readonly #asked = new Map<string, { readonly atMs: number; readonly done: Promise<boolean> }>()

  constructor(connection: DaemonConnection, clock: Clock) {
    this.#connection = connection
    this.#clock = clock
    this.openedAtMs = clock.now()
  }

  get isOpen(): boolean {
    return this.#connection.isOpen
  }

  get closed(): Promise<void> {
    return this.#connection.closed
  }

  /** Roots taken, or about to be. */
  get size(): number {
    return this.#rooted.size + this.#asked.size
  }

  get isIdle(): boolean {
    return this.#asked.size === 0 && this.holds === 0
  }

  has(storePath: string): boolean {
    return this.#rooted.has(storePath)
  }

  /**
   * How long the oldest request has been waiting: a running garbage collection answers only when a deletion of that
   * very path is done.
   */
  waitingMs(): number {
    const [oldest] = this.#asked.values()
    return oldest ? this.#clock.now() - oldest.atMs : 0
  }

  /** @returns whether the daemon acknowledged the root; never rejects */
  root(storePath: string, timeoutMs: number): Promise<boolean> {
    if (this.#rooted.has(storePath)) return Promise.resolve(this.isOpen)
    const asked = this.#asked.get(storePath)
    if (asked) return asked.done
    const done = this.#connection.addTempRoot(storePath, timeoutMs).then(
      () => {
        this.#asked.delete(storePath)
        this.#rooted.add(storePath)
        return this.isOpen
      },
      () => {
        this.#asked.delete(storePath)
        return false
      },
    )
    this.#asked.set(storePath, { atMs: this.#clock.now(), done })
    return done
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]()
  }
}
