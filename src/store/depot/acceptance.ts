/**
 * Registering paths whose NARs are here: by a narinfo, by a commit of many, by adoption from the local store. One
 * transaction for all of a call. What needs waiting (the local store, adoption, reading a NAR once more) happens before
 * it; what must not change meanwhile is looked at inside it.
 */
import type { PathInfo } from '../../nix/path-info.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import { Adoptions } from './adoptions.ts'
import { type Decision, decide, type Proposal } from './decision.ts'
import type { WriterHost } from './host.ts'
import { findSigningKey, normalisePath, PathRules } from './path-rules.ts'
import { setPin } from './pins.ts'
import type { Records } from './sqlite/records.ts'
import {
  type DepotPolicy,
  type NarReceived,
  type NarRecord,
  type PushedPath,
  type Pusher,
  type Refusal,
  type Registered,
  refuse,
} from './types.ts'

export interface Commit {
  readonly paths: readonly PushedPath[]
  readonly who: Pusher
  /** All or none. */
  readonly isAtomic: boolean
  /** Instead of the policy's rule: what an upstream gives has its references there. */
  readonly references?: 'closed' | 'any' | undefined
  /** Written in the same transaction, when all paths are here then. */
  readonly pin?:
    | {
        readonly name: string
        readonly keepLast: number
        readonly expiresAt?: number | undefined
        readonly storePaths: readonly string[]
      }
    | undefined
}

export interface AcceptanceParts {
  readonly storeDir: string
  readonly policy: DepotPolicy
  readonly records: Records
  readonly host: WriterHost
  readonly now: () => number
  /** Receives the NAR of a path of the local store; a loose claim holds it until it is registered. */
  readonly adopt: (info: PathInfo, who: Pusher) => Promise<NarReceived>
  readonly hashContent: (nar: NarRecord, method: 'flat' | 'nar', algorithm: string) => Promise<string | undefined>
}

/** No closure of a local store is larger; a bound against a store that never ends. */
const maxAdopted = 100_000

export class Acceptance {
  readonly #parts: AcceptanceParts
  readonly #rules: PathRules
  readonly #adoptions: Adoptions

  constructor(parts: AcceptanceParts) {
    this.#parts = parts
    this.#rules = new PathRules(parts.storeDir, parts.policy)
    this.#adoptions = new Adoptions(parts.adopt)
  }

  /** A verdict for each path, in their order. */
  async register(commit: Commit): Promise<readonly Registered[]> {
    const { records, policy, now } = this.#parts
    const { references = policy.references } = commit
    const proposals = await this.#propose(commit)
    const adopted = await this.#adoptions.within(policy.adoptionWaitMs, (adopt) =>
      this.#adopt(proposals, references, commit.who, adopt),
    )
    return await records.transaction(() => {
      const decision = decide([...proposals, ...adopted], records, references)
      const verdicts = decision.verdicts.slice(0, proposals.length)
      const hasFailed = verdicts.some(({ status }) => status === 'refused' || status === 'conflict')
      for (const [at, verdict] of verdicts.entries()) this.#noteFailure(proposals[at]!, verdict, commit.who)
      if (commit.isAtomic && hasFailed) return verdicts.map(holdBack)
      this.#write(decision, commit.who, now())
      if (commit.pin !== undefined && !hasFailed) setPin(records, { ...commit.pin, user: commit.who.user }, now())
      return verdicts
    })
  }

  async #propose({ paths, who }: Commit): Promise<Proposal[]> {
    const { storeDir, policy, records, host } = this.#parts
    const unknown = paths.filter(({ storePath }) => !records.hasPath(storePath)).map(({ storePath }) => storePath)
    const locals = new Map((await host.describeLocal(unknown)).map((info, at) => [unknown[at]!, info]))
    return await Promise.all(
      paths.map(async (given): Promise<Proposal> => {
        const path = normalisePath(given, storeDir)
        const none = { isContentChecked: false, upstreamKey: undefined, local: undefined, via: who.via }
        if ('status' in path) return { path: given, verdict: path, ...none }
        const local = locals.get(path.storePath)
        const upstreamKey = findSigningKey(path, policy.upstreamKeys)
        const nar = records.findNar(path.narHash)
        const content = nar === undefined || nar.isDamaged ? false : await this.#checkContent(path, nar)
        const isContentChecked = content === true
        const verdict =
          this.#rules.checkName(path.storePath) ??
          (typeof content === 'boolean' ? this.#rules.checkSigned(path, isContentChecked) : content)
        return { path, verdict, isContentChecked, upstreamKey, local, via: who.via }
      }),
    )
  }

  #checkContent(path: PushedPath, nar: NarRecord): ReturnType<PathRules['checkContent']> {
    return this.#rules.checkContent(path, nar, (method, algorithm) => this.#parts.hashContent(nar, method, algorithm))
  }

  /**
   * What the paths need and only the local store has is copied into the depot, since Nix may collect it tomorrow; what
   * is signed by a cache we trust is only noted.
   */
  async #adopt(
    proposals: Proposal[],
    rule: 'closed' | 'any',
    who: Pusher,
    adopt: AcceptanceParts['adopt'],
  ): Promise<Proposal[]> {
    const { records, host, policy } = this.#parts
    const known = new Set(proposals.map(({ path }) => path.storePath))
    const adopted: Proposal[] = []
    // A path of the commit itself whose NAR was not sent since the local store has the same.
    for (const [at, proposal] of proposals.entries()) {
      const { path, local, verdict, upstreamKey } = proposal
      const isHere = records.findNar(path.narHash)?.isDamaged === false
      if (verdict !== undefined || isHere || upstreamKey !== undefined || local?.narHash !== path.narHash) continue
      proposals[at] = { ...proposal, verdict: toVerdict(await adopt(local, who)) }
    }
    if (rule === 'any') return adopted
    let missing = proposals.flatMap(({ path, verdict }) => (verdict === undefined ? path.references : []))
    while (adopted.length < maxAdopted) {
      missing = [...new Set(missing)].filter(
        (path) => !known.has(path) && !records.hasPath(path) && !records.isElsewhere(path),
      )
      if (missing.length === 0) break
      const found = (await host.describeLocal(missing)).filter((info) => info !== undefined)
      for (const path of missing) known.add(path)
      missing = []
      for (const info of found) {
        const upstreamKey = findSigningKey(info, policy.upstreamKeys)
        const verdict = upstreamKey === undefined ? toVerdict(await adopt(info, who)) : undefined
        adopted.push({ path: info, verdict, isContentChecked: false, upstreamKey, local: info, via: 'adopted' })
        if (upstreamKey === undefined) missing.push(...info.references)
      }
    }
    return adopted
  }

  #write(decision: Decision, who: Pusher, at: number): void {
    const { records } = this.#parts
    const detail = JSON.stringify({ via: who.via, client: who.client })
    for (const { path, upstreamKey } of decision.elsewhere) records.addElsewhere(path, upstreamKey!, at)
    for (const { path, isContentChecked, via } of decision.accepted) {
      records.addObject({ ...path, isContentChecked, via }, who, at)
      const { storePath, narHash, signatures } = path
      const about =
        signatures.length === 0 && via !== 'adopted' ? detail : JSON.stringify({ via, client: who.client, signatures })
      records.addEvent(via === 'adopted' ? 'adopt' : 'push', who, at, { storePath, narHash, detail: about })
    }
    for (const { path, signatures } of decision.present) {
      const known = records.findObject(hashPartOf(path.storePath))!
      records.noteUse(hashPartOf(path.storePath), at)
      if (signatures.length === known.info.signatures.length) continue
      records.setSignatures(path.storePath, signatures)
      records.addEvent('sign', who, at, {
        storePath: path.storePath,
        narHash: path.narHash,
        detail: JSON.stringify({ signatures: path.signatures }),
      })
    }
  }

  #noteFailure({ path }: Proposal, verdict: Registered, who: Pusher): void {
    const { records, now } = this.#parts
    const about = { storePath: path.storePath.slice(0, 300), narHash: path.narHash.slice(0, 100) }
    if (verdict.status === 'conflict') records.addEvent('conflict', who, now(), about)
    if (verdict.status === 'refused') records.addEvent('refuse', who, now(), { ...about, detail: verdict.code })
  }
}

function holdBack(verdict: Registered): Registered {
  return verdict.status === 'registered'
    ? refuse('policy', 'Held back: another path of this commit was refused')
    : verdict
}

/** Adoption that failed is the verdict; one that succeeded leaves it open. */
function toVerdict(received: NarReceived): Refusal | undefined {
  return received.status === 'refused' ? received : undefined
}
