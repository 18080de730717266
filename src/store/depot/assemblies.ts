/**
 * NARs that come in parts. An assembly belongs to a user, a NAR and a size of parts; what there is of it is its state,
 * so resuming is asking. A part is on disk and in the database when it is acknowledged. The first complete upload of a
 * NAR ends the other assemblies of it.
 */
import { join } from 'node:path'

import { DirectorySync } from '../../disk/directory-sync.ts'
import { countParts, missingParts, partsHere, sizeOfPart } from '../../nar/part-ranges.ts'
import { AssemblyChecks, type CheckParts } from './assembly-checks.ts'
import { KeyMutex } from './mutex.ts'
import { receivePart } from './part-file.ts'
import { checkPartForm, type PutPart } from './part-form.ts'
import type { AssemblyRecord } from './sqlite/queries.ts'
import { type Refusal, Refused } from './types.ts'

/** `complete`: the whole NAR is here already, stop sending. */
export type PartReceived = { readonly status: 'stored' | 'known' | 'complete' } | Refusal

export type AssemblyState =
  | { readonly kind: 'checking' }
  | { readonly kind: 'incomplete'; readonly partBytes: number; readonly missing: readonly number[] }
  | { readonly kind: 'failed'; readonly refusal: Refusal }
  | { readonly kind: 'none' }

export interface AssembliesParts extends Omit<CheckParts, 'drop'> {
  readonly random: () => string
  readonly maxNarBytes: number
  readonly checkQuota: (user: string, bytes: number) => void
  readonly reserve: (bytes: number) => Promise<() => void>
}

/** Parts waiting to be appended, of all assemblies: beyond it only the part that the follower needs next is taken. */
const maxWaitingBytes = 256 * 2 ** 20
const maxRequestsPerUser = 16

export class Assemblies {
  readonly #parts: AssembliesParts
  readonly #sync: DirectorySync
  readonly #mutex = new KeyMutex()
  readonly #checks: AssemblyChecks
  readonly #requests = new Map<string, number>()

  constructor(parts: AssembliesParts) {
    this.#parts = parts
    this.#sync = new DirectorySync(parts.disk)
    this.#checks = new AssemblyChecks({ ...parts, drop: (ids) => this.drop(ids) })
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
    const failure = this.#checks.takeFailure(user, narHash)
    if (failure !== undefined) return { kind: 'failed', refusal: failure }
    let best: { partBytes: number; missing: number[] } | undefined
    for (const assembly of this.#parts.records.assembliesOf(user, narHash)) {
      if (assembly.narSize !== narSize) continue
      const here = partsHere(assembly.flushedParts, this.#parts.records.waitingParts(assembly.id))
      const missing = missingParts(here, countParts(narSize, assembly.partBytes))
      if (missing.length === 0) {
        this.#checks.request(assembly, { user, via: 'burrow' })
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
        running.push(this.#checks.running(assembly.id))
    }
    await Promise.race([Promise.all(running), timeout])
  }

  /** Ends assemblies by their number. */
  async drop(ids: readonly number[]): Promise<void> {
    for (const id of ids) await this.#drop(id)
  }

  /** Waits for the parts being appended; those that wait are appended by the next run. */
  close(): Promise<void> {
    return this.#checks.close()
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
      this.#checks.request(assembly, who)
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

  async #drop(id: number): Promise<void> {
    const { dir, disk, records } = this.#parts
    await this.#mutex.run(String(id), async () => {
      await this.#checks.end(id)
      await records.transaction(() => records.removeAssembly(id))
      await disk.removeTree(join(dir, 'part', String(id)))
    })
  }
}
