/**
 * What stays and what goes. Kept: pinned, pushed or used lately, leased, and all that these refer to. The plan is made
 * from one look at the database; the removal goes by it in slices, each a transaction that leaves out what was used,
 * pinned or referred to since. Rows go first, files afterwards.
 */
import { FreedBytes, type GcReport, planEvictions, planUnused, type Removal, reportOf } from './gc-plan.ts'
import { explainKept, Graph, type GraphNode } from './graph.ts'
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
    const bytes = new FreedBytes(graph)
    const plan = planUnused(graph, graph.roots(records, policy, at, olderThanMs ?? policy.keepUnusedMs), bytes)
    if (toBytes !== undefined) {
      graph.remove(plan.map(({ node }) => node))
      // A run has ended old uploads before it looks.
      const expirable = isDryRun ? records.expirableBytes(at - policy.keepUnfinishedMs) : 0
      const excess = records.state('bytes') - expirable - toBytes
      plan.push(...planEvictions(graph, graph.roots(records, policy, at, undefined), () => bytes.sum >= excess, bytes))
    }
    const done = isDryRun ? new Set(plan.map(({ node }) => node)) : await this.#remove(plan)
    return reportOf(
      plan.filter(({ node }) => done.has(node)),
      objects - plan.length,
    )
  }

  /** For a push that needs room. */
  async evict(wantedBytes: number): Promise<void> {
    const { records, policy, now, noteUses } = this.#parts
    await noteUses()
    await this.expire()
    const before = records.state('bytes')
    const isEnough = () => before - records.state('bytes') >= wantedBytes
    if (isEnough()) return
    const graph = Graph.load(records)
    const bytes = new FreedBytes(graph)
    const plan = planEvictions(
      graph,
      graph.roots(records, policy, now(), undefined),
      () => bytes.sum >= wantedBytes - (before - records.state('bytes')),
      bytes,
    )
    await this.#remove(plan)
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
    const node = graph.nodes.get(storePath)
    return node && explainKept(node, graph.roots(records, policy, now(), policy.keepUnusedMs))
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

  /** Returns what was really removed. */
  async #remove(plan: readonly Removal[]): Promise<Set<GraphNode>> {
    const { records, now, removing } = this.#parts
    const done = new Set<GraphNode>()
    for (let start = 0; start < plan.length; start += sliceObjects) {
      const slice = plan.slice(start, start + sliceObjects)
      const files: NarFileName[] = []
      await removing(() => {
        files.length = 0
        for (const { node } of slice) {
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
