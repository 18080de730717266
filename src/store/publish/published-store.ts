/**
 * This machine's Nix store with only its published paths: all others are absent, in every question. The routes, the
 * depot and the deltas see this store alone, and do not know of the policy.
 *
 * The published paths are determined in another thread and identified by rows of the database: a path that was removed,
 * or removed and added again, is absent at once; a new one is there within a second. Until they are known for the first
 * time this is a store that cannot be read.
 */
import type { Readable } from 'node:stream'

import { type Clock, systemClock } from '../../clock.ts'
import { Fault } from '../../faults.ts'
import type { Log } from '../../log.ts'
import { hashPartOf, nameOf, parseHashPart } from '../../nix/store-path.ts'
import type { StoreHealth } from '../health.ts'
import type { LocalStore } from '../nix/local-store.ts'
import type { Leases, PathsPage, Realisation, Store, StoreObject } from '../store.ts'
import type { Explanation } from './explain.ts'
import { findInTable } from './hash-part-table.ts'
import { findMatchingGlob } from './name-glob.ts'
import type { PublishPolicy, StorePlace } from './policy.ts'
import type { PublishedPaths } from './publication.ts'
import { PublicationOrder } from './publication-order.ts'
import { PublicationThread, type PublicationThreadOptions } from './publication-thread.ts'

export interface PublishedStoreOptions extends Pick<PublicationThreadOptions, 'startThread'> {
  /** Stays open for longer than this one. */
  readonly local: LocalStore
  readonly policy: PublishPolicy
  readonly place: StorePlace
  readonly log: Log
  readonly clock?: Clock
  /** After each change of the published paths, the first time included. */
  readonly onChange?: () => void
}

export interface PublishedStore extends Store, AsyncDisposable {
  find(hashPart: string, fits?: (object: StoreObject) => boolean): StoreObject | undefined
  findRealisation(id: string): Realisation | undefined
  /** Undefined if it cannot be said now. */
  explain(storePath: string): Promise<Explanation | undefined>
}

/** Returns at once. */
export function openPublishedStore(options: PublishedStoreOptions): PublishedStore {
  return new FilteredStore(options)
}

class FilteredStore implements PublishedStore {
  readonly name: string
  readonly storeDir: string
  readonly leases: Leases
  readonly #local: LocalStore
  readonly #deny: readonly string[]
  readonly #thread: PublicationThread
  readonly #order = new PublicationOrder()
  #changes = 0

  constructor({ local, policy, place, log, clock = systemClock, onChange, startThread }: PublishedStoreOptions) {
    this.name = local.name
    this.storeDir = local.storeDir
    this.leases = local.leases
    this.#local = local
    this.#deny = policy.deny
    this.#thread = new PublicationThread({
      policy,
      place,
      log,
      clock,
      ...(startThread && { startThread }),
      onChange: (paths) => {
        this.#changes++
        if (paths !== undefined) this.#order.follow(paths)
        onChange?.()
      },
    })
  }

  generation(): number {
    const generation = this.#local.generation()
    this.#published()
    // Both only ever grow.
    return generation + this.#changes
  }

  find(hashPart: string, fits?: (object: StoreObject) => boolean): StoreObject | undefined {
    // First, so that a store that cannot be read is one for all paths.
    this.#local.generation()
    const { paths } = this.#published()
    const id = findInTable(paths, hashPart)
    if (id === undefined) return undefined
    const found = this.#local.find(hashPart)
    // The thread has seen the references; the record may be newer.
    if (found?.id !== id || !this.#arePublished(found.info.references)) return undefined
    const object: StoreObject = { ...found, info: this.#withoutDeniedDeriver(found.info), store: this }
    return fits === undefined || fits(object) ? object : undefined
  }

  findSystem(deriver: string): string | undefined {
    return this.#arePublished([deriver]) ? this.#local.findSystem(deriver) : undefined
  }

  withdraw(object: StoreObject, fault: Fault): void {
    this.#local.withdraw(object, fault)
  }

  /** That of a derivation which is published, or which made something that is. */
  async openLog(drvBaseName: string): Promise<Readable | undefined> {
    const { paths, derivers } = this.#published()
    const hashPart = parseHashPart(drvBaseName.slice(0, 32))
    if (hashPart === undefined) return undefined
    const isPublished = findInTable(paths, hashPart) !== undefined || findInTable(derivers, hashPart) !== undefined
    return isPublished ? await this.#local.openLog(drvBaseName) : undefined
  }

  findRealisation(id: string): Realisation | undefined {
    this.#published()
    const realisation = this.#local.findRealisation(id)
    if (realisation === undefined) return undefined
    const baseNames = [realisation.outPath, ...Object.values(realisation.dependentRealisations)]
    return this.#arePublished(baseNames) ? realisation : undefined
  }

  pathsAfter(cursor: string): PathsPage {
    const { paths } = this.#published()
    const page = this.#order.page(cursor)
    const listed = page.ids.flatMap((id) => {
      const storePath = this.#local.pathOfId(id)
      if (storePath === undefined || findInTable(paths, hashPartOf(storePath)) !== id) return []
      return [{ storePath, registrationTime: this.#local.find(hashPartOf(storePath))?.info.registrationTime ?? 0 }]
    })
    return { paths: listed, cursor: page.cursor }
  }

  referrersOf(storePath: string, limit: number): readonly string[] {
    if (!this.#arePublished([storePath])) return []
    return this.#local.referrersOf(storePath, limit).filter((referrer) => this.#arePublished([referrer]))
  }

  health(): StoreHealth {
    const health = this.#local.health()
    const { health: published, problem } = this.#thread
    return {
      ...health,
      isReadable: health.isReadable && published.state === 'current',
      problem: health.problem ?? (published.state === 'current' ? undefined : describe(published.state, problem)),
      published,
    }
  }

  explain(storePath: string): Promise<Explanation | undefined> {
    return this.#thread.explain(storePath)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#thread[Symbol.asyncDispose]()
  }

  #published(): PublishedPaths {
    const { current, health, problem } = this.#thread
    if (current === undefined) throw new Fault('store-unavailable', describe(health.state, problem))
    return current
  }

  #arePublished(storePaths: readonly string[]): boolean {
    const { paths } = this.#published()
    return storePaths.every((storePath) => findInTable(paths, hashPartOf(storePath)) !== undefined)
  }

  /** No signature covers it, and its name says what was built. */
  #withoutDeniedDeriver(info: StoreObject['info']): StoreObject['info'] {
    const isDenied = info.deriver !== undefined && findMatchingGlob(this.#deny, nameOf(info.deriver)) !== undefined
    return isDenied ? { ...info, deriver: undefined } : info
  }
}

function describe(state: 'starting' | 'current' | 'failed', problem: string | undefined): string {
  const reason = problem === undefined ? '' : `: ${problem}`
  return state === 'starting'
    ? `The published paths are not known yet, so none are served${reason}`
    : `Cannot determine the published paths, so none are served${reason}`
}
