/**
 * The depot's objects with their references, as a collection looks at them: what is kept and by which chain, and in
 * which order the rest may go.
 */
import type { Records } from './sqlite/records.ts'
import type { DepotPolicy } from './types.ts'

export interface GraphNode {
  readonly hashPart: string
  readonly storePath: string
  readonly narHash: string
  readonly fileSize: number
  readonly pushedAt: number
  readonly lastUsed: number
  readonly promisedAt: number
  readonly references: GraphNode[]
  referrers: GraphNode[]
}

export interface Root {
  readonly node: GraphNode
  /** `pin <name>`, `pushed`, `promised` (a pusher was informed that the path exists), `leased` or `used`. */
  readonly why: string
}

/** Times are noted to the hour, so what was served within it may still be fetched. */
const useGranularityMs = 3_600_000

export class Graph {
  readonly nodes = new Map<string, GraphNode>()

  static load(records: Records): Graph {
    const graph = new Graph()
    const byHashPart = new Map<string, GraphNode>()
    for (const row of records.graphNodes()) {
      const node: GraphNode = { ...row, references: [], referrers: [] }
      graph.nodes.set(node.storePath, node)
      byHashPart.set(node.hashPart, node)
    }
    for (const [hashPart, reference] of records.graphEdges()) {
      const [from, to] = [byHashPart.get(hashPart), graph.nodes.get(reference)]
      if (from === undefined || to === undefined || from === to) continue
      from.references.push(to)
      to.referrers.push(from)
    }
    return graph
  }

  /** Takes out nodes that no other node refers to. */
  remove(nodes: readonly GraphNode[]): void {
    const gone = new Set(nodes)
    for (const { storePath } of gone) this.nodes.delete(storePath)
    for (const reference of new Set(nodes.flatMap(({ references }) => references)))
      reference.referrers = reference.referrers.filter((referrer) => !gone.has(referrer))
  }

  /** What is never given up, and with `keepUnusedMs` what was used since then. */
  roots(records: Records, policy: DepotPolicy, now: number, keepUnusedMs: number | undefined): Root[] {
    const roots: Root[] = []
    for (const { name, storePath } of records.pinnedPaths(now)) {
      const node = this.nodes.get(storePath)
      if (node) roots.push({ node, why: `pin ${name}` })
    }
    for (const node of this.nodes.values()) {
      if (node.pushedAt > now - policy.keepPushedMs) roots.push({ node, why: 'pushed' })
      else if (node.promisedAt > now - policy.keepPushedMs) roots.push({ node, why: 'promised' })
      else if (node.lastUsed > now - policy.leaseMs - useGranularityMs) roots.push({ node, why: 'leased' })
      else if (keepUnusedMs !== undefined && node.lastUsed > now - keepUnusedMs) roots.push({ node, why: 'used' })
    }
    return roots
  }
}

/** All that the roots keep, each with the step that leads to it. */
export function reach(
  roots: readonly Root[],
): Map<GraphNode, { readonly from: GraphNode | undefined; readonly why: string }> {
  const reached = new Map<GraphNode, { from: GraphNode | undefined; why: string }>()
  const queue: GraphNode[] = []
  for (const { node, why } of roots) {
    if (reached.has(node)) continue
    reached.set(node, { from: undefined, why })
    queue.push(node)
  }
  for (let next = 0; next < queue.length; next++) {
    const from = queue[next]!
    for (const node of from.references) {
      if (reached.has(node)) continue
      reached.set(node, { from, why: 'reference' })
      queue.push(node)
    }
  }
  return reached
}

/** The chain from a root to this node, each with the reason why it is kept. Undefined: nothing keeps the node. */
export function explainKept(
  node: GraphNode,
  roots: readonly Root[],
): readonly { readonly storePath: string; readonly why: string }[] | undefined {
  const kept = reach(roots)
  const chain: { storePath: string; why: string }[] = []
  for (let at: GraphNode | undefined = node; at !== undefined; ) {
    const step = kept.get(at)
    if (step === undefined) return undefined
    chain.unshift({ storePath: at.storePath, why: step.why })
    at = step.from
  }
  return chain
}

/**
 * Takes nodes that nothing refers to, the longest unused first, and what becomes free by that, until `isEnough`. Kept
 * nodes are left out, and so is what is part of a circle of references (which only a depot with `references: "any"` can
 * hold).
 */
export function takeInOrder(
  graph: Graph,
  isKept: (node: GraphNode) => boolean,
  isEnough: (node: GraphNode) => boolean,
): GraphNode[] {
  const left = new Map<GraphNode, number>()
  const free = new Heap()
  for (const node of graph.nodes.values()) {
    left.set(node, node.referrers.length)
    if (node.referrers.length === 0 && !isKept(node)) free.push(node)
  }
  const taken: GraphNode[] = []
  for (let node = free.pop(); node !== undefined; node = free.pop()) {
    if (isEnough(node)) break
    taken.push(node)
    for (const reference of node.references) {
      const referrers = left.get(reference)! - 1
      left.set(reference, referrers)
      if (referrers === 0 && !isKept(reference)) free.push(reference)
    }
  }
  return taken
}

/** A binary heap; equal times are ordered by path, so that a dry run equals the run. */
class Heap {
  readonly #items: GraphNode[] = []

  push(node: GraphNode): void {
    const items = this.#items
    let at = items.push(node) - 1
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (!isBefore(items[at]!, items[parent]!)) break
      this.#swap(at, parent)
      at = parent
    }
  }

  pop(): GraphNode | undefined {
    const items = this.#items
    const first = items[0]
    const last = items.pop()
    if (first === undefined || items.length === 0) return first
    items[0] = last!
    for (let at = 0; ; ) {
      let least = at
      for (const child of [2 * at + 1, 2 * at + 2])
        if (child < items.length && isBefore(items[child]!, items[least]!)) least = child
      if (least === at) return first
      this.#swap(at, least)
      at = least
    }
  }

  #swap(a: number, b: number): void {
    const items = this.#items
    const item = items[a]!
    items[a] = items[b]!
    items[b] = item
  }
}

function isBefore(a: GraphNode, b: GraphNode): boolean {
  return a.lastUsed === b.lastUsed ? a.storePath < b.storePath : a.lastUsed < b.lastUsed
}
