/**
 * Leases on store paths: temporary roots (AddTempRoot) that keep a garbage collection from deleting a path between its narinfo and its NAR, and while it is sent.
 *
 *   holder 1 (retiring) ── roots a b c, closes when the last lease on it has run out
 *   holder 2 (current)  ── roots c d, taken over at the latest after one lease time: a root stays at most two lease times unless it is asked for
 *
 * Beyond `maxPaths` further paths are served without a lease until a holder closes; transfers (`hold`) are bounded elsewhere and always get theirs.
 */
import type { Log } from '../log.ts'
import { type Clock, systemClock } from './clock.ts'
import { DaemonDialer } from './daemon-dialer.ts'
import { RootHolder } from './root-holder.ts'
import type { Leases } from './store.ts'

export interface LeasesOptions {
  /** None: leases cannot be had. */
  readonly socketPath: string | undefined
  /** How long a path stays protected after its narinfo was served; 0: not at all, only transfers are. */
  readonly narInfoSeconds: number
  /** Roots held at once, on all connections together. */
  readonly maxPaths: number
  readonly log: Log
  readonly clock?: Clock
  readonly random?: () => number
}

export interface LeasesHealth {
  /** False without a daemon: paths are served, but a garbage collection may come between. */
  readonly active: boolean
  readonly connections: number
  /** Temporary roots, those about to run out included. */
  readonly roots: number
  /** Paths of transfers under way. */
  readonly held: number
}

interface Lease {
  readonly holder: RootHolder
  readonly endMs: number
}

interface Hold {
  transfers: number
  holder: RootHolder | undefined
}

/** No request waits longer for a lease; a garbage collection may keep the daemon from answering for minutes. */
const patienceMs = 2000
/** A request the daemon does not answer for so long has lost its purpose, and its connection. */
const answerTimeoutMs = 600_000
/** Where only transfers are protected. */
const holderMsWithoutLeases = 600_000
/** The current connection and those it took over from; more only while one after the other is stuck behind a collection. */
const maxHolders = 4

export class DaemonLeases implements Leases, Disposable {
  readonly #log: Log
  readonly #clock: Clock
  readonly #dialer: DaemonDialer | undefined
  readonly #leaseMs: number
  readonly #holderMs: number
  readonly #maxPaths: number
  /** Oldest first; the last one may be `#current`. */
  readonly #holders = new Set<RootHolder>()
  #current: RootHolder | undefined
  #connecting: Promise<RootHolder | undefined> | undefined
  readonly #leases = new Map<string, Lease>()
  readonly #holds = new Map<string, Hold>()
  #callOff: () => void = () => {}
  #nextLookMs = Number.POSITIVE_INFINITY
  #isReviving = false
  #isDisposed = false

  constructor({ socketPath, narInfoSeconds, maxPaths, log, clock = systemClock, random = Math.random }: LeasesOptions) {
    this.#log = log
    this.#clock = clock
    this.#leaseMs = narInfoSeconds * 1000
    this.#holderMs = this.#leaseMs || holderMsWithoutLeases
    this.#maxPaths = maxPaths
    this.#dialer = socketPath === undefined ? undefined : new DaemonDialer({ socketPath, clock, random, log })
  }

  covers(storePath: string): boolean {
    const lease = this.#leases.get(storePath)
    if (lease && lease.endMs - this.#clock.now() >= this.#leaseMs / 2) return true
    return !this.#canLease(storePath)
  }

  async take(storePath: string): Promise<void> {
    if (!this.#canLease(storePath)) return
    const current = this.#current
    if (current?.has(storePath) && !this.#isWorn(current)) this.#extend(storePath, current)
    else await this.#impatiently(storePath, this.#lease(storePath))
  }

  async hold(storePath: string): Promise<() => void> {
    if (!this.#dialer || this.#isDisposed) return () => {}
    const hold = this.#holds.get(storePath) ?? { transfers: 0, holder: undefined }
    this.#holds.set(storePath, hold)
    hold.transfers++
    await this.#impatiently(storePath, this.#rootHold(storePath, hold))
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      if (--hold.transfers > 0) return
      this.#holds.delete(storePath)
      this.#moveHold(hold, undefined)
      this.#closeUnused()
    }
  }

  health(): LeasesHealth {
    const holders = [...this.#holders]
    return {
      active: this.#dialer !== undefined && !this.#isDisposed && !(this.#dialer.hasFailed && holders.length === 0),
      connections: holders.length,
      roots: this.#countRoots(),
      held: this.#holds.size,
    }
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true
    this.#callOff()
    this.#holds.clear()
    for (const holder of [...this.#holders]) this.#drop(holder)
  }

  #canLease(storePath: string): boolean {
    if (!this.#dialer || this.#isDisposed || this.#leaseMs === 0) return false
    if (!this.#current && !this.#dialer.isReady) return false
    return this.#countRoots() < this.#maxPaths || this.#current?.has(storePath) === true
  }

  #countRoots(): number {
    let count = 0
    for (const holder of this.#holders) count += holder.size
    return count
  }

  async #lease(storePath: string): Promise<boolean> {
    const holder = await this.#findHolder()
    if (!holder) return false
    // Before the answer, so that the connection is not closed in between.
    holder.lastEndMs = this.#clock.now() + this.#leaseMs
    const isRooted = (await holder.root(storePath, answerTimeoutMs)) && this.#holders.has(holder)
    if (isRooted) this.#extend(storePath, holder)
    return isRooted
  }

  #extend(storePath: string, holder: RootHolder): void {
    const endMs = this.#clock.now() + this.#leaseMs
    this.#leases.set(storePath, { holder, endMs })
    holder.lastEndMs = endMs
    this.#closeUnused()
  }

  async #rootHold(storePath: string, hold: Hold): Promise<boolean> {
    if (hold.holder?.isOpen) return true
    const holder = await this.#findHolder()
    return holder !== undefined && this.#rootHoldOn(storePath, hold, holder)
  }

  /** Only once the new root is there does the hold leave its former connection. */
  async #rootHoldOn(storePath: string, hold: Hold, holder: RootHolder): Promise<boolean> {
    holder.holds++
    const isRooted = (await holder.root(storePath, answerTimeoutMs)) && this.#holders.has(holder)
    holder.holds--
    if (isRooted && hold.transfers > 0) this.#moveHold(hold, holder)
    this.#closeUnused()
    return isRooted
  }

  #moveHold(hold: Hold, holder: RootHolder | undefined): void {
    if (hold.holder) hold.holder.holds--
    hold.holder = holder
    if (holder) holder.holds++
  }

  /** Waits as long as a request may wait; what comes later still counts for the next one. */
  #impatiently(storePath: string, wanted: Promise<boolean>): Promise<void> {
    return new Promise((resolve) => {
      const callOff = this.#clock.after(patienceMs, () => {
        this.#log.debug({ storePath }, 'The nix-daemon does not answer in time: served without a lease')
        resolve()
      })
      void wanted.then((isRooted) => {
        callOff()
        if (!isRooted) this.#log.debug({ storePath }, 'No lease can be had: served without')
        resolve()
      })
    })
  }

  /** The connection for new roots: the current one, or a fresh one when that has served its time. */
  #findHolder(): Promise<RootHolder | undefined> {
    const current = this.#current
    if (current && !this.#isWorn(current)) return Promise.resolve(current)
    if (this.#holders.size >= maxHolders) return Promise.resolve(answering(current))
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  /** By age, so that roots nobody asks for go; by half the allowed number, so that its successor has room; by silence, so that one path being deleted holds up no others. */
  #isWorn(holder: RootHolder): boolean {
    const isFull = holder.size * 2 >= this.#maxPaths && this.#countRoots() < this.#maxPaths
    return isFull || !holder.isOpen || this.#clock.now() - holder.openedAtMs >= this.#holderMs || holder.waitingMs() >= patienceMs
  }

  async #connect(): Promise<RootHolder | undefined> {
    const connection = await this.#dialer?.connect()
    if (!connection) return answering(this.#current)
    const holder = new RootHolder(connection, this.#clock)
    if (this.#isDisposed) {
      holder[Symbol.dispose]()
      return undefined
    }
    this.#holders.add(holder)
    this.#current = holder
    void holder.closed.then(() => this.#forget(holder))
    for (const [storePath, hold] of this.#holds) void this.#rootHoldOn(storePath, hold, holder)
    this.#closeUnused()
    return holder
  }

  /** Closes what nobody needs any more, and looks again when the next lease runs out. */
  #closeUnused(): void {
    if (this.#isDisposed) return
    const now = this.#clock.now()
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
    this.#callOff = this.#clock.after(nextMs - now, () => {
      this.#nextLookMs = Number.POSITIVE_INFINITY
      this.#closeUnused()
    })
  }

  #drop(holder: RootHolder): void {
    holder[Symbol.dispose]()
    this.#forget(holder)
  }

  #forget(holder: RootHolder): void {
    if (!this.#holders.delete(holder)) return
    if (this.#current === holder) this.#current = undefined
    for (const [storePath, lease] of this.#leases) if (lease.holder === holder) this.#leases.delete(storePath)
    for (const hold of this.#holds.values()) if (hold.holder === holder) this.#moveHold(hold, undefined)
    if (this.#holds.size > 0) this.#reviveHolds()
  }

  /** The daemon went away under transfers: their paths are rooted again as soon as it is back. */
  #reviveHolds(): void {
    if (this.#isReviving) return
    this.#isReviving = true
    this.#clock.after(this.#dialer?.waitMs ?? 0, () => {
      this.#isReviving = false
      if (this.#isDisposed || this.#holds.size === 0) return
      void this.#findHolder().then((holder) => {
        if (!holder) this.#reviveHolds()
        else for (const [storePath, hold] of this.#holds) if (!hold.holder) void this.#rootHoldOn(storePath, hold, holder)
      })
    })
  }
}

function answering(holder: RootHolder | undefined): RootHolder | undefined {
  return holder?.isOpen && holder.waitingMs() < patienceMs ? holder : undefined
}
