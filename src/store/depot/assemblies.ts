/**
 * NARs that come in parts. An assembly belongs to a user, a NAR and a size of parts; what there is of it is its state,
 * so resuming is asking. A part is on disk and in the database when it is acknowledged. The first complete upload of a
 * NAR ends the other assemblies of it.
 */
import { join } from 'node:path'

import { DirectorySync } from '../../disk/directory-sync.ts'
import type { Disk } from '../../disk/disk.ts'
import type { Compression } from '../../nix/nar-info.ts'
import type { DecoderOptions } from './decoder.ts'
import { Follower } from './follower.ts'
import { KeyMutex } from './mutex.ts'
import { receivePart } from './part-file.ts'
import { checkPartForm, type PutPart } from './part-form.ts'

export type { PutPart } from './part-form.ts'

import { countParts, missingParts, partsHere, sizeOfPart } from '../../nar/part-ranges.ts'
import { Semaphore } from '../../nar/semaphore.ts'
import type { AssemblyRecord } from './sqlite/queries.ts'
import type { NarFile, Records } from './sqlite/records.ts'
import { type Pusher, type Refusal, Refused } from './types.ts'

/** `complete`: the whole NAR is here already, stop sending. */
export type PartReceived = { readonly status: 'stored' | 'known' | 'complete' } | Refusal

export type AssemblyState =
  | { readonly kind: 'checking' }
  | { readonly kind: 'incomplete'; readonly partBytes: number; readonly missing: readonly number[] }
  | { readonly kind: 'failed'; readonly refusal: Refusal }
  | { readonly kind: 'none' }

export interface AssembliesParts {
  readonly dir: string
  readonly disk: Disk
  readonly records: Records
  readonly now: () => number
  readonly random: () => string
  readonly maxNarBytes: number
  readonly decoding: DecoderOptions
  readonly checkQuota: (user: string, bytes: number) => void
  readonly reserve: (bytes: number) => Promise<() => void>
  /** Puts the finished file on the shelf; `alsoWrite` runs in the same transaction. */
  readonly shelve: (
    file: NarFile & { readonly compression: Compression },
    localFile: string,
    who: Pusher,
    alsoWrite: () => void,
  ) => Promise<boolean>
  readonly log: (error: unknown, message: string) => void
}

/** Parts waiting to be appended, of all assemblies: beyond it only the part that the follower needs next is taken. */
const maxWaitingBytes = 256 * 2 ** 20
const maxRequestsPerUser = 16
/** Followers hold a decompressor each. */
const maxFollowers = 16
const followersAtOnce = 2

interface Following {
  readonly follower: Follower
  readonly who: Pusher
  running: Promise<void> | undefined
  isAskedAgain: boolean
}

export class Assemblies {
  readonly #parts: AssembliesParts
  readonly #sync: DirectorySync
  readonly #mutex = new KeyMutex()
  readonly #turns = new Semaphore(followersAtOnce)
  readonly #following = new Map<number, Following>()
  readonly #requests = new Map<string, number>()
  /** The last failures, by user and NAR, reported at the next commit. */
  readonly #failures = new Map<string, Refusal>()

  constructor(parts: AssembliesParts) {
    this.#parts = parts
    this.#sync = new DirectorySync(parts.disk)
  }

  async put(part: PutPart, body: AsyncIterable<Uint8Array>): Promise<PartReceived> {
    const { records } = this.#parts
    const { user } = part.who
    checkPartForm(part, this.#parts.maxNarBytes)
    const nar = records.findNar(part.narHash)
    if (nar !== undefined && !nar.isDamaged) return { status: 'complete' }
    const known = records.findAssembly(user, part.narHash, part.narSize, part.partBytes)
    if (known !== undefined && this.#has(known, part.index)) return { status: 'known' }
    this.#checkBacklog(known, part)
    const requests = this.#requests.get(user) ?? 0
    if (requests >= maxRequestsPerUser)
      throw new Refused('busy', `User ${user} has ${requests} uploads under way: try again in a moment`)
    this.#requests.set(user, requests + 1)
    try {
      return await this.#receive(part, body)
    } finally {
      const left = this.#requests.get(user)! - 1
      if (left === 0) this.#requests.delete(user)
      else this.#requests.set(user, left)
    }
  }

  /** What there is of a NAR by this user; of several sizes of parts the one that is furthest. */
  stateOf(user: string, narHash: string, narSize: number): AssemblyState {
    const failure = this.#failures.get(`${user} ${narHash}`)
    if (failure !== undefined) {
      this.#failures.delete(`${user} ${narHash}`)
      return { kind: 'failed', refusal: failure }
    }
    let best: { partBytes: number; missing: number[] } | undefined
    for (const assembly of this.#parts.records.assembliesOf(user, narHash)) {
      if (assembly.narSize !== narSize) continue
      const here = partsHere(assembly.flushedParts, this.#parts.records.waitingParts(assembly.id))
      const missing = missingParts(here, countParts(narSize, assembly.partBytes))
      if (missing.length === 0) {
        this.#follow(assembly, { user, via: 'burrow' })
        return { kind: 'checking' }
      }
      if (best === undefined || missing.length * assembly.partBytes < best.missing.length * best.partBytes)
        best = { partBytes: assembly.partBytes, missing }
    }
    return best === undefined ? { kind: 'none' } : { kind: 'incomplete', ...best }
  }

  /** Resolves when no check of these NARs is under way, or after so long. */
  async settle(user: string, narHashes: readonly string[], timeout: Promise<void>): Promise<void> {
    const wanted = new Set(narHashes)
    const running: (Promise<void> | undefined)[] = []
    for (const narHash of wanted) {
      for (const assembly of this.#parts.records.assembliesOf(user, narHash))
        running.push(this.#following.get(assembly.id)?.running)
    }
    await Promise.race([Promise.all(running), timeout])
  }

  /** Ends assemblies by their number. */
  async drop(ids: readonly number[]): Promise<void> {
    for (const id of ids) await this.#drop(id)
  }

  /** Waits for the parts being appended; those that wait are appended by the next run. */
  async close(): Promise<void> {
    for (const following of this.#following.values()) {
      following.isAskedAgain = false
      await following.running
      await following.follower.close()
    }
    this.#following.clear()
  }

  #has({ id, flushedParts }: AssemblyRecord, index: number): boolean {
    return index < flushedParts || this.#parts.records.waitingParts(id).includes(index)
  }

  #checkBacklog(known: AssemblyRecord | undefined, { index, bodyBytes }: PutPart): void {
    const { records } = this.#parts
    if (records.waitingBytes() + bodyBytes <= maxWaitingBytes) return
    let next = known?.flushedParts ?? 0
    for (const waiting of known === undefined ? [] : records.waitingParts(known.id)) if (waiting === next) next++
    if (index !== next) throw new Refused('busy', 'The cache is still checking what was sent: try again in a moment')
  }

  async #receive(part: PutPart, body: AsyncIterable<Uint8Array>): Promise<PartReceived> {
    const { dir, disk, records, now, random, checkQuota, reserve } = this.#parts
    const { narHash, narSize, partBytes, index, who } = part
    checkQuota(who.user, part.bodyBytes)
    const giveBack = await reserve(part.bodyBytes)
    const temp = join(dir, 'in', random())
    try {
      const expected = {
        digest: part.digest,
        bodyBytes: part.bodyBytes,
        contentBytes: sizeOfPart(narSize, partBytes, index),
        encoding: part.encoding,
      }
      const fileBytes = await receivePart(body, expected, temp, disk)
      const assembly = await records.transaction(() =>
        records.openAssembly(who.user, narHash, narSize, partBytes, now()),
      )
      const stored = await this.#mutex.run(String(assembly.id), () =>
        this.#keep(assembly, index, fileBytes, part.digest, temp),
      )
      if (stored !== 'stored') await disk.unlink(temp)
      this.#follow(assembly, who)
      return { status: stored }
    } catch (error) {
      await disk.unlink(temp).catch(() => {})
      throw error
    } finally {
      giveBack()
    }
  }

  async #keep(
    opened: AssemblyRecord,
    index: number,
    fileBytes: number,
    digest: string,
    temp: string,
  ): Promise<'stored' | 'known' | 'complete'> {
    const { dir, disk, records, now } = this.#parts
    const { id, user, narHash, narSize, partBytes } = opened
    const assembly = records.findAssemblyById(id)
    if (assembly === undefined) {
      if (records.findNar(narHash)?.isDamaged === false) return 'complete'
      throw new Refused('busy', 'This upload was ended meanwhile: ask what is missing and send it again')
    }
    if (this.#has(assembly, index)) return 'known'
    const folder = join(dir, 'part', String(id))
    if (assembly.flushedParts === 0 && records.waitingParts(id).length === 0) {
      await disk.makeDirectory(folder)
      await (await disk.reopen(join(folder, 'nar'), 0)).close()
      await this.#sync.sync(join(dir, 'part'))
    }
    await disk.rename(temp, join(folder, String(index)))
    await this.#sync.sync(folder)
    await records.transaction(() => {
      records.openAssembly(user, narHash, narSize, partBytes, now())
      records.addPart(id, index, fileBytes, digest)
    })
    return 'stored'
  }

  #follow(assembly: AssemblyRecord, who: Pusher): void {
    const { dir, disk, records, decoding } = this.#parts
    let following = this.#following.get(assembly.id)
    if (following === undefined) {
      const follower = new Follower(assembly, join(dir, 'part', String(assembly.id)), disk, records, decoding)
      following = { follower, who, running: undefined, isAskedAgain: false }
      this.#following.set(assembly.id, following)
      this.#forgetIdle()
    }
    if (following.running !== undefined) {
      following.isAskedAgain = true
      return
    }
    const current = following
    current.running = this.#turns
      .run(async () => {
        do {
          current.isAskedAgain = false
          await this.#advance(assembly, current)
        } while (current.isAskedAgain && this.#following.get(assembly.id) === current)
      })
      .finally(() => {
        current.running = undefined
      })
  }

  /** The state of one that waits for its next part can be made again by reading. */
  #forgetIdle(): void {
    for (const [id, { follower, running }] of this.#following) {
      if (this.#following.size <= maxFollowers) return
      if (running !== undefined) continue
      this.#following.delete(id)
      void follower.close()
    }
  }

  async #advance(assembly: AssemblyRecord, { follower, who }: Following): Promise<void> {
    const { records, now, log, shelve } = this.#parts
    const { id, narHash, user } = assembly
    try {
      if (records.findAssemblyById(id) === undefined) return await this.#forget(id)
      const file = await follower.advance()
      if (file === undefined) return
      await shelve(file, follower.grownFile, who, () => records.removeAssembly(id))
      await this.#drop(id)
      await this.drop(records.assembliesOfNar(narHash))
    } catch (error) {
      await this.#forget(id)
      // Ended meanwhile, since the NAR came by another way.
      if (records.findAssemblyById(id) === undefined) return
      if (!(error instanceof Refused))
        return log(error, 'cannot check an upload in parts; retrying when its next part arrives')
      this.#failures.set(`${user} ${narHash}`, error.refusal)
      if (this.#failures.size > 1000)
        for (const [oldest] of [...this.#failures].slice(0, 1)) this.#failures.delete(oldest)
      await records.transaction(() => records.addEvent('refuse', who, now(), { narHash, detail: 'nar-mismatch' }))
      await this.#drop(id)
    }
  }

  async #forget(id: number): Promise<void> {
    const following = this.#following.get(id)
    this.#following.delete(id)
    await following?.follower.close()
  }

  async #drop(id: number): Promise<void> {
    const { dir, disk, records } = this.#parts
    await this.#mutex.run(String(id), async () => {
      await this.#forget(id)
      await records.transaction(() => records.removeAssembly(id))
      await disk.removeTree(join(dir, 'part', String(id)))
    })
  }
}
