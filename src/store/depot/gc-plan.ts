/** What a collection would remove, in which order and why, and what that frees. Pure: it looks at the graph only. */
import { type Graph, type GraphNode, type Root, reach, takeInOrder } from './graph.ts'

/** One object to be removed, and the bytes that become free with it. */
export interface Removal {
  readonly node: GraphNode
  readonly why: 'unused' | 'evicted'
  readonly bytes: number
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

/** A report goes to the thread that answers requests, and copying 90,000 entries there would hold it up. */
export const maxListedPaths = 1000

/** All that these roots do not keep. */
export function planUnused(graph: Graph, roots: readonly Root[], bytes: FreedBytes): Removal[] {
  const kept = reach(roots)
  const unused = takeInOrder(
    graph,
    (node) => kept.has(node),
    () => false,
  )
  return unused.map((node) => ({ node, why: 'unused', bytes: bytes.take(node) }))
}

/** What these roots do not keep, the longest unused first, until it is enough. */
export function planEvictions(
  graph: Graph,
  roots: readonly Root[],
  isEnough: () => boolean,
  bytes: FreedBytes,
): Removal[] {
  const kept = reach(roots)
  const plan: Removal[] = []
  takeInOrder(
    graph,
    (node) => kept.has(node),
    (node) => {
      if (isEnough()) return true
      plan.push({ node, why: 'evicted', bytes: bytes.take(node) })
      return false
    },
  )
  return plan
}

export function reportOf(removed: readonly Removal[], keptObjects: number): GcReport {
  return {
    removed: removed
      .slice(0, maxListedPaths)
      .map(({ node: { storePath, lastUsed }, why, bytes }) => ({ storePath, lastUsed, why, bytes })),
    removedObjects: removed.length,
    bytes: removed.reduce((sum, { bytes }) => sum + bytes, 0),
    keptObjects,
  }
}

/** The bytes of a file are free when the last object that needs it is gone. */
export class FreedBytes {
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
