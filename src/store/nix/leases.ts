/**
 * Leases on store paths: temporary roots (AddTempRoot) that keep a garbage collection from deleting a path between its
 * narinfo and its NAR, and while it is sent.
 *
 * A root lasts as long as the daemon connection it was taken on, and connections are replaced (root-holders.ts): a path
 * stays rooted for at most two lease times after it was last asked for. Beyond `maxPaths` further paths are served
 * without a lease until a connection closes; transfers (`hold`) are bounded elsewhere and always get theirs.
 */

import { type Clock, systemClock } from '../../clock.ts'
import { DaemonDialer } from '../../daemon/daemon-dialer.ts'
import type { Log } from '../../log.ts'
import type { LeasesHealth } from '../health.ts'
import type { Leases } from '../store.ts'
import type { RootHolder } from './root-holder.ts'
import { RootHolders } from './root-holders.ts'

export interface LeasesOptions {
  /** None: leases cannot be had. */
  readonly socketPath: string | undefined
  /** How long a path stays protected after its narinfo was served; 0: not at all, only transfers are. */
  readonly narInfoSeconds: number
  /** Roots held at once, on all connections together. */
  readonly maxPaths: number
  readonly log: Log
  readonly clock?: Clock
  /** 0 (inclusive) to 1. */
  readonly random?: () => number
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
/** Between attempts to root again what lost its connection. */
const reviveMs = 1000
/** Where only transfers are protected. */
const holderMsWithoutLeases = 600_000

export class DaemonLeases implements Leases, Disposable {
  readonly #log: Log
  readonly #clock: Clock
  readonly #dialer: DaemonDialer | undefined
  readonly #holders: RootHolders | undefined
  readonly #leaseMs: number
  readonly #maxPaths: number
  readonly #leases = new Map<string, Lease>()
  readonly #holds = new Map<string, Hold>()
  #isReviving = false
  #isDisposed = false

  constructor({ socketPath, narInfoSeconds, maxPaths, log, clock = systemClock, random = Math.random }: LeasesOptions) {
    this.#log = log
    this.#clock = clock
    this.#leaseMs = narInfoSeconds * 1000
    this.#maxPaths = maxPaths
    if (socketPath === undefined) return
    this.#dialer = new DaemonDialer({ socketPath, clock, random, log })
    this.#holders = new RootHolders({
      dialer: this.#dialer,
      clock,
      holderMs: this.#leaseMs || holderMsWithoutLeases,
      patienceMs,
      maxRoots: maxPaths,
      onOpen: (holder) => this.#moveHolds(holder),
      onGone: (holder) => this.#forget(holder),
    })
  }

  covers(storePath: string): boolean {
    const lease = this.#leases.get(storePath)
    if (lease && lease.endMs - this.#clock.now() >= this.#leaseMs / 2) return true
    return this.#findUsableHolders(storePath) === undefined
  }

  async take(storePath: string): Promise<void> {
    const holders = this.#findUsableHolders(storePath)
    if (!holders) return
    const { current } = holders
    if (current?.has(storePath)) this.#extend(storePath, current)
    else await this.#impatiently(storePath, this.#lease(storePath, holders))
  }

  async hold(storePath: string): Promise<() => void> {
    const holders = this.#holders
    if (!holders || this.#isDisposed) return () => {}
    const hold = this.#holds.get(storePath) ?? { transfers: 0, holder: undefined }
    this.#holds.set(storePath, hold)
    hold.transfers++
    await this.#impatiently(storePath, this.#rootHold(storePath, hold, holders))
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      if (--hold.transfers > 0) return
      this.#holds.delete(storePath)
      moveHold(hold, undefined)
      holders.closeUnused()
    }
  }

  health(): LeasesHealth {
    const connections = this.#holders?.count ?? 0
    return {
      active: this.#dialer !== undefined && !this.#isDisposed && (connections > 0 || !this.#dialer.hasFailed),
      connections,
      roots: this.#holders?.roots ?? 0,
      held: this.#holds.size,
    }
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true
    this.#holds.clear()
    this.#holders?.[Symbol.dispose]()
  }

  /** Undefined when no lease on this path can be had now. */
  #findUsableHolders(storePath: string): RootHolders | undefined {
    const holders = this.#holders
    if (!holders?.canFind || this.#leaseMs === 0) return undefined
    return holders.roots < this.#maxPaths || holders.has(storePath) ? holders : undefined
  }

  async #lease(storePath: string, holders: RootHolders): Promise<boolean> {
    const holder = await holders.find()
    if (!holder) return false
    // Before the answer, so that the connection is not closed in between.
    holder.lastEndMs = this.#clock.now() + this.#leaseMs
    const isRooted = (await holder.root(storePath, answerTimeoutMs)) && holders.includes(holder)
    if (isRooted) this.#extend(storePath, holder)
    return isRooted
  }

  #extend(storePath: string, holder: RootHolder): void {
    const endMs = this.#clock.now() + this.#leaseMs
    this.#leases.set(storePath, { holder, endMs })
    holder.lastEndMs = endMs
    this.#holders?.closeUnused()
  }

  async #rootHold(storePath: string, hold: Hold, holders: RootHolders): Promise<boolean> {
    if (hold.holder?.isOpen) return true
    const holder = await holders.find()
    return holder !== undefined && this.#rootHoldOn(storePath, hold, holder)
  }

  /** Only once the new root is there does the hold leave its former connection. */
  async #rootHoldOn(storePath: string, hold: Hold, holder: RootHolder): Promise<boolean> {
    holder.holds++
    const isRooted = (await holder.root(storePath, answerTimeoutMs)) && this.#holders?.includes(holder) === true
    holder.holds--
    if (isRooted && hold.transfers > 0) moveHold(hold, holder)
    this.#holders?.closeUnused()
    return isRooted
  }

  #moveHolds(holder: RootHolder): void {
    for (const [storePath, hold] of this.#holds) void this.#rootHoldOn(storePath, hold, holder)
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

  #forget(holder: RootHolder): void {
    for (const [storePath, lease] of this.#leases) if (lease.holder === holder) this.#leases.delete(storePath)
    for (const hold of this.#holds.values()) if (hold.holder === holder) moveHold(hold, undefined)
    if (this.#holds.size > 0) this.#reviveHolds(0)
  }

  /** The daemon went away under transfers: their paths are rooted again as soon as it is back. */
  #reviveHolds(atLeastMs: number): void {
    if (this.#isReviving) return
    this.#isReviving = true
    this.#clock.after(Math.max(this.#dialer?.waitMs ?? 0, atLeastMs), async () => {
      this.#isReviving = false
      if (this.#isDisposed || this.#holds.size === 0) return
      const holder = await this.#holders?.find()
      if (!holder) this.#reviveHolds(reviveMs)
      else for (const [storePath, hold] of this.#holds) if (!hold.holder) void this.#rootHoldOn(storePath, hold, holder)
    })
  }
}

function moveHold(hold: Hold, holder: RootHolder | undefined): void {
  if (hold.holder) hold.holder.holds--
  hold.holder = holder
  if (holder) holder.holds++
}
