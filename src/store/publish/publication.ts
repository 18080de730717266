/**
 * The published paths of a store as its database, the roots and the policy say at the moment. For a thread of its own,
 * or a command: everything here is synchronous, and may take a second.
 */
import { silentLog } from '../../log.ts'
import { baseNameOf, hashPartOf } from '../../nix/store-path.ts'
import { StoreDatabase } from '../nix/database.ts'
import { StoreGraph, type StoreNode } from '../nix/store-graph.ts'
import { evaluate, Rules } from './evaluate.ts'
import { type Explanation, explain } from './explain.ts'
import { buildTable, type HashPartArrays } from './hash-part-table.ts'
import type { PublishPolicy, RootProblem, StorePlace } from './policy.ts'
import { type ResolvedRoot, resolveRoots } from './resolve-roots.ts'

/** What has changed; all of it in arrays that can be given to another thread. */
export interface PublishedPaths {
  /** By hash part, the ids of the rows. */
  readonly paths: HashPartArrays
  /** Derivations of published paths, which may not be here; the numbers mean nothing. */
  readonly derivers: HashPartArrays
  /** Ids of what was not in the result before. */
  readonly added: Float64Array<ArrayBuffer>
}

export class Publication implements Disposable {
  readonly #policy: PublishPolicy
  readonly #place: StorePlace
  readonly #database: StoreDatabase
  readonly #graph: StoreGraph
  readonly #rules: Rules
  #generation = -1
  #roots: readonly ResolvedRoot[] = []
  #published: ReadonlySet<StoreNode> = new Set()

  constructor(policy: PublishPolicy, place: StorePlace) {
    this.#policy = policy
    this.#place = place
    this.#rules = new Rules(policy)
    this.#graph = new StoreGraph(place.storeDir, this.#rules.needsSignatures)
    this.#database = new StoreDatabase({ file: place.database, log: silentLog, now: () => performance.now() })
  }

  get count(): number {
    return this.#published.size
  }

  /** Valid paths, published or not. */
  get ofCount(): number {
    return this.#graph.count
  }

  get rootProblems(): readonly RootProblem[] {
    return this.#roots.flatMap((root) => {
      const problem = root.problem ?? this.#describeInvalid(root)
      return problem === undefined ? [] : [{ root: root.root, problem }]
    })
  }

  /**
   * Follows database and roots. Returns the published paths if they are others than before, also the first time; else
   * undefined. @throws {Fault} store-unavailable
   */
  update(): PublishedPaths | undefined {
    const isFirst = this.#generation === -1
    const roots = this.#policy.roots === undefined ? [] : resolveRoots(this.#policy.roots, this.#place)
    const generation = this.#database.generation()
    const hasNewRoots = !isSame(roots, this.#roots)
    if (generation === this.#generation && !hasNewRoots) return undefined
    if (generation !== this.#generation) this.#database.use((connection) => this.#graph.update(connection))
    const before = this.#published
    const published = evaluate(this.#graph.nodes, this.#policy.roots && this.#nodesOf(roots), this.#rules)
    this.#generation = generation
    this.#roots = roots
    this.#published = published
    const added: number[] = []
    for (const node of published) if (!before.has(node)) added.push(node.id)
    if (!isFirst && added.length === 0 && published.size === before.size) return undefined
    return this.#toArrays(published, Float64Array.from(added))
  }

  /** As of the last update. */
  explain(storePath: string): Explanation {
    return explain(storePath, {
      node: this.#graph.find(baseNameOf(storePath)),
      roots: this.#policy.roots && this.#roots.map((root) => ({ root: root.root, nodes: this.#nodesOf([root]) })),
      published: this.#published,
      rules: this.#rules,
    })
  }

  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]()
  }

  #nodesOf(roots: readonly ResolvedRoot[]): StoreNode[] {
    return roots.flatMap(({ baseNames }) => baseNames.flatMap((baseName) => this.#graph.find(baseName) ?? []))
  }

  #describeInvalid({ baseNames }: ResolvedRoot): string | undefined {
    if (baseNames.length === 0 || baseNames.some((baseName) => this.#graph.find(baseName) !== undefined))
      return undefined
    return baseNames.length === 1 ? `names ${baseNames[0]}, which is not in this store` : 'names no path of this store'
  }

  #toArrays(published: ReadonlySet<StoreNode>, added: Float64Array<ArrayBuffer>): PublishedPaths {
    const derivers = new Set<string>()
    for (const { deriver } of published)
      if (deriver !== undefined && !this.#rules.deniesDeriver(deriver)) derivers.add(hashPartOf(deriver))
    return {
      paths: buildTable(published.size, toEntries(published)),
      derivers: buildTable(derivers.size, toZeros(derivers)),
      added,
    }
  }
}

function* toEntries(nodes: Iterable<StoreNode>): Generator<readonly [string, number]> {
  for (const { storePath, id } of nodes) yield [hashPartOf(storePath!), id]
}

function* toZeros(hashParts: Iterable<string>): Generator<readonly [string, number]> {
  for (const hashPart of hashParts) yield [hashPart, 0]
}

function isSame(left: readonly ResolvedRoot[], right: readonly ResolvedRoot[]): boolean {
  return JSON.stringify(left) === JSON.stringify(right)
}
