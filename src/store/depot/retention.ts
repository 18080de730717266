/**
 * What stays and what goes. Kept: pinned, pushed or used lately, leased, and all that these refer to. The plan is made
 * from one look at the database; the removal goes by it in slices, each a transaction that leaves out what was used,
 * pinned or referred to since. Rows go first, files afterwards.
 */
import { Graph, type GraphNode, reach, takeInOrder } from './graph.ts'
import type { NarFileName, NarShelf } from './nar-shelf.ts'
import type { Records } from './sqlite/records.ts'
import type { DepotPolicy } from './types.ts'

export interface GcOptions {
  /** Instead of the policy's `keepUnusedMs`. */
  readonly olderThanMs?: number | undefined
  /** Evict further until so much is in use, pins and recent pushes excepted. */
  readonly toBytes?: number | undefined
  readonly isDryRun: boolean
}

export interface GcReport {
  /** The first `maxListedPaths`, in the order of removal. */
  readonly removed: readonly {
    readonly storePath: string
    readonly bytes: number
    readonly lastUsed: number
    readonly why: 'unused' | 'evicted'
  }[]
  /** All of them, listed or not. */
  readonly removedObjects: number
  readonly bytes: number
  readonly keptObjects: number
}

export interface RetentionParts {
  readonly records: Records
  readonly shelf: NarShelf
  readonly policy: DepotPolicy
  readonly now: () => number
  /** Writes down what was used lately. */
  readonly noteUses: () => Promise<void>
  /** Runs a transaction that removes; on a full disk it gives up the reserve first. */
  readonly removing: <T>(run: () => T) => Promise<T>
  /** Ends uploads in parts that were touched last before then. */
  readonly dropUploads: (before: number) => Promise<void>
}

/** A report goes to the thread that answers requests, and copying 90,000 entries there would hold it up. */
export const maxListedPaths = 1000
const sliceObjects = 500
/** Room is short: uploads untouched for so long may go before their time. */
const stalledMs = 3_600_000

export class Retention {
  readonly #parts: RetentionParts

  constructor(parts: RetentionParts) {
    this.#parts = parts
  }

  async collect({ olderThanMs, toBytes, isDryRun }: GcOptions): Promise<GcReport> {
    const { records, policy, now, noteUses } = this.#parts
    await noteUses()
    if (!isDryRun) await this.expire()
    const graph = Graph.load(records)
    const objects = graph.nodes.size
    const at = now()
    const kept = reach(graph.roots(records, policy, at, olderThanMs ?? policy.keepUnusedMs))
    const unused = takeInOrder(
      graph,
      (node) => kept.has(node),
      () => false,
    )
    const bytes = new FreedBytes(graph)
    const plan: (readonly [GraphNode, 'unused' | 'evicted', number])[] = unused.map((node) => [
      node,
      'unused',
      bytes.take(node),
    ])
    if (toBytes !== undefined) {
      graph.remove(unused)
      // A run has ended old uploads before it looks.
      const expirable = isDryRun ? records.expirableBytes(at - policy.keepUnfinishedMs) : 0
      const excess = records.state('bytes') - expirable - toBytes
      for (const node of this.#evictable(graph, at, () => bytes.sum >= excess, bytes))
        plan.push([node[0], 'evicted', node[1]])
    }
    const done = isDryRun ? new Set(plan.map(([node]) => node)) : await this.#remove(plan.map(([node]) => node))
    const removed = plan.filter(([node]) => done.has(node))
    return {
      removed: removed
        .slice(0, maxListedPaths)
        .map(([{ storePath, lastUsed }, why, freed]) => ({ storePath, lastUsed, why, bytes: freed })),
      removedObjects: removed.length,
      bytes: removed.reduce((sum, [, , freed]) => sum + freed, 0),
      keptObjects: objects - plan.length,
    }
  }

  /** For a push that needs room. */
  async evict(wantedBytes: number): Promise<void> {
    const { records, now, noteUses } = this.#parts
    await noteUses()
    await this.expire()
    const before = records.state('bytes')
    const isEnough = () => before - records.state('bytes') >= wantedBytes
    if (isEnough()) return
    const graph = Graph.load(records)
    const bytes = new FreedBytes(graph)
    const victims = this.#evictable(
      graph,
      now(),
      () => bytes.sum >= wantedBytes - (before - records.state('bytes')),
      bytes,
    )
    await this.#remove(victims.map(([node]) => node))
    if (!isEnough()) await this.expire(now() - stalledMs)
  }

  /**
   * Ends claims and pins whose time is over, and removes what nothing needs. `before`: claims older than this, by
   * default those of the policy.
   */
  async expire(before = this.#parts.now() - this.#parts.policy.keepUnfinishedMs): Promise<void> {
    const { records, removing, now, dropUploads } = this.#parts
    await dropUploads(before)
    await removing(() => {
      records.removeLooseBefore(before)
      records.removeExpiredPins(now())
    })
    await this.#removeUnneeded()
  }

  /**
   * The chain from what keeps a path to the path: the first is the root, with the reason. Undefined: nothing keeps it.
   */
  async explain(
    storePath: string,
  ): Promise<readonly { readonly storePath: string; readonly why: string }[] | undefined> {
    const { records, policy, now, noteUses } = this.#parts
    await noteUses()
    const graph = Graph.load(records)
    const kept = reach(graph.roots(records, policy, now(), policy.keepUnusedMs))
    const chain: { storePath: string; why: string }[] = []
    for (let node = graph.nodes.get(storePath); node !== undefined; ) {
      const step = kept.get(node)
      if (step === undefined) return undefined
      chain.unshift({ storePath: node.storePath, why: step.why })
      node = step.from
    }
    return chain.length === 0 ? undefined : chain
  }

  /**
   * Takes these paths and all that refer to them out, and does not take them with this content again. Returns all that
   * went.
   */
  async forget(storePaths: readonly string[], by: string): Promise<readonly string[]> {
    const { records, now, removing } = this.#parts
    const gone = await removing(() => {
      const graph = Graph.load(records)
      const named = storePaths.flatMap((storePath) => graph.nodes.get(storePath) ?? [])
      const all = new Set(named)
      for (const node of all) for (const referrer of node.referrers) all.add(referrer)
      const at = now()
      for (const { storePath, narHash } of named) records.forget(storePath, narHash, by, at)
      for (const { hashPart, storePath, narHash } of all) {
        records.removeObject(hashPart)
        records.addEvent('forget', { user: by }, at, { storePath, narHash })
      }
      return [...all].map(({ storePath }) => storePath)
    })
    await this.#removeUnneeded()
    return gone
  }

  /** Lets a forgotten path come again. Resolves to whether it was forgotten. */
  allow(storePath: string, by: string): Promise<boolean> {
    const { records, now } = this.#parts
    return records.transaction(() => {
      const count = records.allow(storePath)
      if (count > 0) records.addEvent('allow', { user: by }, now(), { storePath })
      return count > 0
    })
  }

  #evictable(graph: Graph, at: number, isEnough: () => boolean, bytes: FreedBytes): (readonly [GraphNode, number])[] {
    const { records, policy } = this.#parts
    const kept = reach(graph.roots(records, policy, at, undefined))
    const freed = new Map<GraphNode, number>()
    const taken = takeInOrder(
      graph,
      (node) => kept.has(node),
      (node) => {
        if (isEnough()) return true
        freed.set(node, bytes.take(node))
        return false
      },
    )
    return taken.map((node) => [node, freed.get(node)!])
  }

  /** Returns what was really removed. */
  async #remove(victims: readonly GraphNode[]): Promise<Set<GraphNode>> {
    const { records, now, removing } = this.#parts
    const done = new Set<GraphNode>()
    for (let start = 0; start < victims.length; start += sliceObjects) {
      const slice = victims.slice(start, start + sliceObjects)
      const files: NarFileName[] = []
      await removing(() => {
        files.length = 0
        for (const node of slice) {
          if (!this.#removeOne(node, now())) continue
          done.add(node)
          const file = records.takeNarIfUnneeded(node.narHash)
          if (file !== undefined) files.push(file)
        }
      })
      await this.#parts.shelf.remove(files)
    }
    return done
  }

  #removeOne(node: GraphNode, at: number): boolean {
    const { records } = this.#parts
    const { hashPart, storePath, narHash } = node
    const found = records.findObject(hashPart)
    const isSame =
      found?.info.storePath === storePath &&
      found.lastUsed === node.lastUsed &&
      found.pushedAt === node.pushedAt &&
      found.promisedAt === node.promisedAt
    if (!isSame || records.isReferredTo(storePath) || records.isPinned(storePath, at)) return false
    records.removeObject(hashPart)
    records.addEvent('collect', { user: 'burrow' }, at, { storePath, narHash })
    return true
  }

  async #removeUnneeded(): Promise<void> {
    for (;;) {
      const files = await this.#parts.removing(() => this.#parts.records.takeUnneededNars(sliceObjects))
      await this.#parts.shelf.remove(files)
      if (files.length < sliceObjects) return
    }
  }
}

/** The bytes of a file are free when the last object that needs it is gone. */
class FreedBytes {
  sum = 0
  readonly #users = new Map<string, number>()

  constructor(graph: Graph) {
    for (const { narHash } of graph.nodes.values()) this.#users.set(narHash, (this.#users.get(narHash) ?? 0) + 1)
  }

  take({ narHash, fileSize }: GraphNode): number {
    const users = this.#users.get(narHash)! - 1
    this.#users.set(narHash, users)
    const bytes = users === 0 ? fileSize : 0
    this.sum += bytes
    return bytes
  }
}
