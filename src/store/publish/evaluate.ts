/**
 * The rules of a policy applied to the graph of the store. A path is published if it fits all rules and everything that
 * it refers to is published: the result is the largest set of which both is true.
 */
import { formatFingerprint } from '../../nix/fingerprint.ts'
import { toNix32Sha256 } from '../../nix/hash.ts'
import { verifySignature } from '../../nix/signature.ts'
import { nameOf } from '../../nix/store-path.ts'
import type { SignedColumns, StoreNode } from '../nix/store-graph.ts'
import { findMatchingGlob } from './name-glob.ts'
import type { PublishPolicy } from './policy.ts'

interface Verdict {
  readonly references: readonly StoreNode[]
  readonly count: number
  readonly refersToItself: boolean
  readonly key: string | undefined
}

/** How the rules judge a single path, without what it refers to. */
export class Rules {
  readonly #deny: readonly string[]
  readonly #signedBy: readonly string[] | undefined
  readonly #globs = new WeakMap<StoreNode, string | false>()
  /** Verifying takes 0.1 ms, and is done again only for other columns or references. */
  readonly #signers = new WeakMap<SignedColumns, Verdict>()

  constructor({ deny, signedBy }: PublishPolicy) {
    this.#deny = deny
    this.#signedBy = signedBy
  }

  get needsSignatures(): boolean {
    return this.#signedBy !== undefined
  }

  /** The glob that denies its name. */
  findGlob(node: StoreNode): string | undefined {
    let glob = this.#globs.get(node)
    if (glob === undefined) {
      glob = (node.storePath === undefined ? undefined : findMatchingGlob(this.#deny, nameOf(node.storePath))) ?? false
      this.#globs.set(node, glob)
    }
    return glob === false ? undefined : glob
  }

  /** The public key whose signature it has; undefined if signatures are not asked for, too. */
  findSigner(node: StoreNode): string | undefined {
    const { signed, storePath, references, refersToItself } = node
    if (this.#signedBy === undefined || signed === undefined || storePath === undefined) return undefined
    const known = this.#signers.get(signed)
    if (
      known?.references === references &&
      known.count === references.length &&
      known.refersToItself === refersToItself
    )
      return known.key
    const key = findKey(this.#signedBy, storePath, signed, referencePathsOf(node))
    this.#signers.set(signed, { references, count: references.length, refersToItself, key })
    return key
  }

  fits(node: StoreNode): boolean {
    return (
      node.storePath !== undefined &&
      node.lostReferences === 0 &&
      this.findGlob(node) === undefined &&
      (this.#signedBy === undefined || this.findSigner(node) !== undefined)
    )
  }

  /** Whether a log may be shown for a derivation of which only the path is known. */
  deniesDeriver(storePath: string): boolean {
    return this.#deny.length > 0 && findMatchingGlob(this.#deny, nameOf(storePath)) !== undefined
  }
}

/** `roots`: undefined for all paths. */
export function evaluate(
  nodes: Iterable<StoreNode>,
  roots: Iterable<StoreNode> | undefined,
  rules: Rules,
): Set<StoreNode> {
  const published = roots === undefined ? new Set(nodes) : closureOf(roots)
  const unfit: StoreNode[] = []
  for (const node of published) if (!rules.fits(node)) unfit.push(node)
  for (const node of unfit) published.delete(node)
  // What refers to it, and what refers to that.
  for (let next = unfit.pop(); next !== undefined; next = unfit.pop())
    for (const referrer of next.referrers) if (published.delete(referrer)) unfit.push(referrer)
  return published
}

function closureOf(roots: Iterable<StoreNode>): Set<StoreNode> {
  // A Set iterates over what is added meanwhile.
  const closure = new Set(roots)
  for (const node of closure) for (const reference of node.references) closure.add(reference)
  return closure
}

/** As the fingerprint has them. */
function referencePathsOf({ references, refersToItself, storePath }: StoreNode): string[] {
  const paths = references.map((reference) => reference.storePath ?? '')
  if (refersToItself) paths.push(storePath ?? '')
  return paths.sort()
}

function findKey(
  keys: readonly string[],
  storePath: string,
  { hash, narSize, sigs }: SignedColumns,
  references: readonly string[],
): string | undefined {
  const narHash = typeof hash === 'string' ? toNix32Sha256(hash) : undefined
  if (narHash === undefined || typeof sigs !== 'string') return undefined
  const fingerprint = formatFingerprint({
    storePath,
    narHash,
    narSize: Number(narSize),
    references,
  })
  const signatures = sigs.split(' ')
  return keys.find((key) => signatures.some((signature) => verifySignature(key, fingerprint, signature)))
}
