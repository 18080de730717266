/**
 * Why a path is published or not: the root that leads to it, or the rules that it does not fit, or the nearest path
 * below it that does not.
 */
import type { StoreNode } from '../nix/store-graph.ts'
import type { Rules } from './evaluate.ts'

export type Refusal =
  /** No root leads to it. */
  | { readonly kind: 'no-root' }
  | { readonly kind: 'denied'; readonly glob: string }
  /** No valid signature by one of the keys; `names` of the keys whose signatures it has, valid or not. */
  | { readonly kind: 'unsigned'; readonly names: readonly string[] }
  /** Its record cannot be served: no path of this store, or a reference that is gone. */
  | { readonly kind: 'unusable' }

export interface Explanation {
  readonly storePath: string
  /** `absent`: not valid in this store. */
  readonly verdict: 'published' | 'unpublished' | 'absent'
  /** For a published path, if there are roots: the first one, and how it leads there, from its store path to this one. */
  readonly root?: { readonly root: string; readonly chain: readonly string[] }
  /** For a published path, if signatures are asked for: a public key. */
  readonly signer?: string
  /** Rules that the path itself does not fit. */
  readonly refusals: readonly Refusal[]
  /** A path that it refers to, directly or not, with what that does not fit, and the chain from this path to it. */
  readonly because?: { readonly chain: readonly string[]; readonly refusals: readonly Refusal[] }
}

export interface Subject {
  readonly node: StoreNode | undefined
  /** Undefined if the policy has none. */
  readonly roots: readonly { readonly root: string; readonly nodes: readonly StoreNode[] }[] | undefined
  readonly published: ReadonlySet<StoreNode>
  readonly rules: Rules
}

export function explain(storePath: string, { node, roots, published, rules }: Subject): Explanation {
  if (node === undefined || node.storePath !== storePath) return { storePath, verdict: 'absent', refusals: [] }
  const root = roots && findRoot(node, roots)
  if (published.has(node)) {
    const signer = rules.findSigner(node)
    return {
      storePath,
      verdict: 'published',
      refusals: [],
      ...(root !== undefined && { root }),
      ...(signer !== undefined && { signer }),
    }
  }
  const refusals = refusalsOf(node, rules)
  if (roots !== undefined && root === undefined) refusals.unshift({ kind: 'no-root' })
  const chain = findChain(
    [node],
    (each) => each !== node && !rules.fits(each),
    ({ references }) => references,
  )
  return {
    storePath,
    verdict: 'unpublished',
    refusals,
    ...(chain !== undefined && {
      because: { chain: toPaths(chain), refusals: refusalsOf(chain.at(-1)!, rules) },
    }),
  }
}

function refusalsOf(node: StoreNode, rules: Rules): Refusal[] {
  const refusals: Refusal[] = []
  if (node.storePath === undefined || node.lostReferences > 0) refusals.push({ kind: 'unusable' })
  const glob = rules.findGlob(node)
  if (glob !== undefined) refusals.push({ kind: 'denied', glob })
  if (rules.needsSignatures && rules.findSigner(node) === undefined)
    refusals.push({ kind: 'unsigned', names: namesOf(node) })
  return refusals
}

function namesOf({ signed }: StoreNode): string[] {
  if (typeof signed?.sigs !== 'string') return []
  const names = signed.sigs.split(' ').flatMap((signature) => {
    const colon = signature.indexOf(':')
    return colon > 0 ? [signature.slice(0, colon)] : []
  })
  return [...new Set(names)]
}

/** Walks up from the path, which has fewer referrers than a root has references. */
function findRoot(node: StoreNode, roots: NonNullable<Subject['roots']>): Explanation['root'] {
  for (const { root, nodes } of roots) {
    const tops = new Set(nodes)
    if (tops.size === 0) continue
    const chain = findChain(
      [node],
      (each) => tops.has(each),
      ({ referrers }) => referrers,
    )
    if (chain !== undefined) return { root, chain: toPaths(chain).reverse() }
  }
  return undefined
}

/** The shortest way from one of the starts to a node that is wanted, both included. */
function findChain(
  starts: readonly StoreNode[],
  isWanted: (node: StoreNode) => boolean,
  next: (node: StoreNode) => readonly StoreNode[],
): StoreNode[] | undefined {
  const cameFrom = new Map<StoreNode, StoreNode | undefined>(starts.map((start) => [start, undefined]))
  for (const node of cameFrom.keys()) {
    if (isWanted(node)) {
      const chain: StoreNode[] = []
      for (let at: StoreNode | undefined = node; at !== undefined; at = cameFrom.get(at)) chain.unshift(at)
      return chain
    }
    for (const neighbour of next(node)) if (!cameFrom.has(neighbour)) cameFrom.set(neighbour, node)
  }
  return undefined
}

const toPaths = (chain: readonly StoreNode[]): string[] => chain.map(({ storePath }) => storePath ?? '(unusable)')
