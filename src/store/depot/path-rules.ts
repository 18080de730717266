/**
 * What can be said of a pushed path without looking at what else is here: names, signatures, content address, policy.
 */
import { parseContentAddress } from '../../nix/content-address.ts'
import { computeContentPath, splitContentAddress } from '../../nix/content-path.ts'
import { formatFingerprint } from '../../nix/fingerprint.ts'
import { formatHash, toNix32Sha256 } from '../../nix/hash.ts'
import { isSignature, verifySignature } from '../../nix/signature.ts'
import { baseNameOf, parseStorePath } from '../../nix/store-path.ts'
import { type DepotPolicy, type NarRecord, type PathRecord, type Refusal, refuse } from './types.ts'

const maxSignatures = 64
const maxReferences = 65_536

/** The record in the one form the depot keeps: references sorted, signatures well-formed and once each. */
export function normalisePath<T extends PathRecord>(path: T, storeDir: string): T | Refusal {
  const { storePath, references, deriver, narHash, narSize, contentAddress } = path
  if (parseStorePath(storePath, storeDir) === undefined)
    return refuse('mismatch', `"${shorten(storePath)}" is not a store path in ${storeDir}`)
  const bad = [...references, ...(deriver === undefined ? [] : [deriver])].find(
    (other) => parseStorePath(other, storeDir) === undefined,
  )
  if (bad !== undefined)
    return refuse('mismatch', `${storePath} refers to "${shorten(bad)}", which is not a store path in ${storeDir}`)
  if (references.length > maxReferences)
    return refuse('mismatch', `${storePath} has more than ${maxReferences} references`)
  if (toNix32Sha256(narHash) !== narHash)
    return refuse('mismatch', `The NAR hash of ${storePath} is not a SHA-256 hash in Nix32`)
  if (!Number.isSafeInteger(narSize) || narSize <= 0)
    return refuse('mismatch', `The NAR size of ${storePath} is not a positive integer`)
  if (contentAddress !== undefined && parseContentAddress(contentAddress) !== contentAddress) {
    return refuse('mismatch', `The content address of ${storePath} cannot be read`)
  }
  const signatures = [...new Set(path.signatures)].filter(isSignature).slice(0, maxSignatures)
  return { ...path, references: [...new Set(references)].sort(), signatures }
}

/** The name of the trusted key under which one of the path's signatures verifies. */
export function findSigningKey(path: PathRecord, publicKeys: readonly string[]): string | undefined {
  if (publicKeys.length === 0 || path.signatures.length === 0) return undefined
  const fingerprint = formatFingerprint(path)
  const key = publicKeys.find((publicKey) =>
    path.signatures.some((signature) => verifySignature(publicKey, fingerprint, signature)),
  )
  return key?.slice(0, key.indexOf(':'))
}

export class PathRules {
  readonly #storeDir: string
  readonly #policy: DepotPolicy
  readonly #refused: readonly RegExp[]

  constructor(storeDir: string, policy: DepotPolicy) {
    this.#storeDir = storeDir
    this.#policy = policy
    this.#refused = policy.refuse.map((source) => new RegExp(source))
  }

  checkName(storePath: string): Refusal | undefined {
    const pattern = this.#refused.find((refused) => refused.test(baseNameOf(storePath)))
    return pattern && refuse('policy', `${storePath} is not accepted: its name matches "${pattern.source}"`)
  }

  /** `isContentChecked`: the path is known to follow from its content. */
  checkSigned(path: PathRecord, isContentChecked: boolean): Refusal | undefined {
    const keys = this.#policy.requireSignatures
    if (keys.length === 0 || isContentChecked || findSigningKey(path, keys) !== undefined) return undefined
    const names = keys.map((key) => key.slice(0, key.indexOf(':'))).join(', ')
    return refuse(
      'policy',
      `${path.storePath} has no signature that this cache accepts: sign it with one of ${names} ("nix store sign") and push again`,
    )
  }

  /**
   * Recomputes path and content from the content address. True when both follow, false if that is unknown (a path
   * that contains its own name). `hashContent` reads the NAR once more, for algorithms that were not computed when it
   * came.
   */
  async checkContent(
    path: PathRecord,
    nar: NarRecord,
    hashContent: (method: 'flat' | 'nar', algorithm: string) => Promise<string | undefined>,
  ): Promise<boolean | Refusal> {
    const { storePath, references, contentAddress } = path
    const address = contentAddress === undefined ? undefined : splitContentAddress(contentAddress)
    if (contentAddress === undefined) return false
    if (address === undefined || computeContentPath(storePath, this.#storeDir, address, references) !== storePath) {
      return refuse('mismatch', `${storePath} is not the path that follows from its content address ${contentAddress}`)
    }
    if (references.includes(storePath)) return false
    const stated = formatHash(address.hash, 'nix32')
    const { algorithm } = address.hash
    const found =
      algorithm !== 'sha256'
        ? await hashContent(address.method === 'nar' ? 'nar' : 'flat', algorithm)
        : address.method === 'nar'
          ? nar.narHash
          : nar.flatHash
    if (found === stated) return true
    return refuse(
      'mismatch',
      `The content of ${storePath} has hash ${found ?? 'none, because it is not a regular file'}, not ${stated} as its content address says`,
    )
  }
}

function shorten(text: string): string {
  return JSON.stringify(text.slice(0, 100)).slice(1, -1)
}
