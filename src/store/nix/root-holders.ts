/**
 * The daemon connections that hold temporary roots, one after the other:
 *
 *   holder 1 (retiring) ── roots a b c, closes when none of its roots is needed
 *   holder 2 (current)  ── roots c d, takes over at the latest after one lease time
 */
import type { Clock } from '../../clock.ts'
import type { DaemonDialer } from '../../daemon/daemon-dialer.ts'
import { RootHolder } from './root-holder.ts'

export interface RootHoldersOptions {
  readonly dialer: DaemonDialer
  readonly clock: Clock
  /** How long a connection is the current one. */
  readonly holderMs: number
  /** A connection that is silent for so long is given no more requests. */
  readonly patienceMs: number
  readonly maxRoots: number
  /** A new current connection, to which roots that are still needed move. */
  readonly onOpen: (holder: RootHolder) => void
  /** A connection that is gone with its roots, closed by either side. */
  readonly onGone: (holder: RootHolder) => void
}

/**
 * The current connection and those it took over from; more than two only while one after the other is stuck behind a
 * collection.
 */
const maxHolders = 4

export class RootHolders implements Disposable {
  readonly #options: RootHoldersOptions
  /** Oldest first. */
  readonly #holders = new Set<RootHolder>()
  #current: RootHolder | undefined
  #connecting: Promise<RootHolder | undefined> | undefined
  #callOff: () => void = () => {}
  #nextLookMs = Number.POSITIVE_INFINITY
  #isDisposed = false

  constructor(options: RootHoldersOptions) {
    this.#options = options
  }

  get count(): number {
    return this.#holders.size
  }

  /** Roots on all connections together. */
  get roots(): number {
    let count = 0
    for (const holder of this.#holders) count += holder.size
    return count
  }

  /** The connection that new roots go to; undefined when there is none or it should be replaced. */
  get current(): RootHolder | undefined {
    return this.#current && !this.#isWorn(this.#current) ? this.#current : undefined
  }

  /** False when there is no connection and it is too early to try for one. */
  get canFind(): boolean {
    return !this.#isDisposed && (this.#current !== undefined || this.#options.dialer.isReady)
  }

  includes(holder: RootHolder): boolean {
    return this.#holders.has(holder)
  }

  /** True when this root costs nothing since the current connection has it. */
  has(storePath: string): boolean {
    return this.#current?.has(storePath) === true
  }

  /** The current connection, or a fresh one when that has served its time. */
  find(): Promise<RootHolder | undefined> {
    const { current } = this
    if (current) return Promise.resolve(current)
    if (this.#holders.size >= maxHolders) return Promise.resolve(this.#lastResort())
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  /** Closes connections that are no longer needed, and checks again when the next lease expires. */
  closeUnused(): void {
    if (this.#isDisposed) return
    const { clock, patienceMs } = this.#options
    const now = clock.now()
    let nextMs = Number.POSITIVE_INFINITY
    for (const holder of [...this.#holders]) {
      if (!holder.isIdle) continue
      // A fresh one is about to be asked for a root.
      const endMs = Math.max(holder.lastEndMs, holder === this.#current ? holder.openedAtMs + patienceMs : 0)
      if (endMs <= now) this.#drop(holder)
      else nextMs = Math.min(nextMs, endMs)
    }
    // An earlier look does no harm; a new timer for every lease would.
    if (nextMs >= this.#nextLookMs) return
    this.#callOff()
    this.#nextLookMs = nextMs
    this.#callOff = clock.after(nextMs - now, () => {
      this.#nextLookMs = Number.POSITIVE_INFINITY
      this.closeUnused()
    })
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true
    this.#callOff()
    for (const holder of [...this.#holders]) this.#drop(holder)
  }

  /**
   * By age, so that unused roots are dropped; by half the allowed number, so that its successor has room; by silence,
   * so that one path being deleted holds up no others.
   */
  #isWorn(holder: RootHolder): boolean {
    const { clock, holderMs, patienceMs, maxRoots } = this.#options
    const isFull = holder.size * 2 >= maxRoots && this.roots < maxRoots
    return isFull || !holder.isOpen || clock.now() - holder.openedAtMs >= holderMs || holder.waitingMs() >= patienceMs
  }

  #lastResort(): RootHolder | undefined {
    const holder = this.#current
    return holder?.isOpen && holder.waitingMs() < this.#options.patienceMs ? holder : undefined
  }

  async #connect(): Promise<RootHolder | undefined> {
    const { dialer, clock, onOpen } = this.#options
    const connection = await dialer.connect()
    if (!connection) return this.#lastResort()
    const holder = new RootHolder(connection, clock)
    if (this.#isDisposed) {
      holder[Symbol.dispose]()
      return undefined
    }
    this.#holders.add(holder)
    this.#current = holder
    void holder.closed.then(() => this.#forget(holder))
    onOpen(holder)
    this.closeUnused()
    return holder
  }

  #drop(holder: RootHolder): void {
    holder[Symbol.dispose]()
    this.#forget(holder)
  }

  #forget(holder: RootHolder): void {
    if (!this.#holders.delete(holder)) return
    if (this.#current === holder) this.#current = undefined
    this.#options.onGone(holder)
  }
}
