/**
 * The depot: store objects that were pushed here. Their NARs are kept as they came, checked before they count; a
 * database says what is here.
 *
 *   const depot = await openDepot({ dir, storeDir, maxBytes, keepFree, searchPath, log, local })
 *
 * As a store (`store.ts`): find, generation, withdraw, leases, health, logs, realisations. Synchronous, a reading
 * connection of its own.
 *
 * Pushing, protocol A (stock Nix). Each call resolves when its result survives a power cut; refusals are values `{
 * status: 'refused', code, reason }`:
 *   PUT nar/<hash>.nar[.ext]   depot.admitNar(upload)            from the headers: { status: 'known' }, a refusal, or undefined: read the body
 *                              depot.receiveNar(upload, body)    body: AsyncIterable<Uint8Array>; use request.iterator({ destroyOnReturn: false })
 *   HEAD nar/…                 depot.findNarFile(fileHash)
 *   PUT <hash>.narinfo         depot.registerNarInfo(hashPart, narInfo, who)
 *   PUT realisations, debuginfo, log   depot.putDocument, depot.putLog
 * Protocol B: depot.plan, putPart, putBatch, commit; limits in part-form.ts and batch.ts.
 * Administration (names of pins: isPinName, mayWritePin in pins.ts): setPin, removePin, pins, collect (dry or not),
 * explain, forget, allow, who, verify, backUp.
 *
 * Reading  ── main thread ── reading-database, kept-nars (files, ranges, verified here before the last chunk)
 * Writing  ── writer-thread ⇄ writer-worker ── writer ─┬─ incoming (hash, decompress, parse) ── nar-shelf (file first, row afterwards)
 *                                                      ├─ acceptance ── decision (pure, inside the transaction)
 *                                                      ├─ assemblies (parts)      └─ retention ── graph
 *                                                      └─ sqlite/ (all SQL)
 */

import { systemClock } from '../../clock.ts'
import type { Compression, NarInfo } from '../../nix/nar-info.ts'
import type { Commit } from './acceptance.ts'
import type { PartReceived } from './assemblies.ts'
import type { PutBatch } from './batch-uploads.ts'
import type { PutLog } from './build-log-files.ts'
import type { CommitOptions, Committed } from './committing.ts'
import { dayOf } from './day.ts'
import type { DepotOptions } from './depot-options.ts'
import { DepotReader } from './depot-reader.ts'
import type { GcReport } from './gc-plan.ts'
import { startMaintenance } from './maintenance.ts'
import type { PutPart } from './part-form.ts'
import type { PinRequest } from './pins.ts'
import { toPushedPath } from './pushed-narinfo.ts'
import type { GcOptions } from './retention.ts'
import { type DepotPolicy, type NarReceived, type Pusher, type Refusal, type Registered, refuse } from './types.ts'
import { type FetchNar, judgeQuota, type ReceiveNar } from './uploads.ts'
import type { Uses } from './uses.ts'
import type { VerifyReport } from './verify.ts'
import type { WriterLink } from './writer-messages.ts'

export class Depot extends DepotReader {
  readonly #options: DepotOptions
  readonly #lock: Disposable
  readonly #stopMaintenance: () => void

  constructor(options: DepotOptions, policy: DepotPolicy, lock: Disposable, uses: Uses, writer: WriterLink) {
    super(options, policy, uses, writer)
    this.#options = options
    this.#lock = lock
    this.#stopMaintenance = startMaintenance(writer, options.clock ?? systemClock, options.log)
  }

  /** What the headers of an upload decide: here already, refused, or (undefined) to be read. */
  admitNar({ fileHash, fileSize, compression, who }: ReceiveNar): { readonly status: 'known' } | Refusal | undefined {
    if (this.findNarFile(fileHash) !== undefined) return { status: 'known' }
    if (!acceptedCompressions.has(compression))
      return refuse(
        'unsupported',
        `This cache does not accept NARs compressed with ${compression}: use ?compression=zstd`,
      )
    if (fileSize > this.#options.maxBytes)
      return refuse(
        'no-room',
        `This cache holds ${this.#options.maxBytes} bytes at most, and this file has ${fileSize}`,
      )
    return judgeQuota(this.policy, who.user, fileSize, this.records.usedToday(who.user, dayOf(this.now())), () =>
      this.records.unfinishedBytes(who.user),
    )
  }

  async receiveNar(upload: ReceiveNar, body: AsyncIterable<Uint8Array>): Promise<NarReceived> {
    return this.noteShortage(await this.writer.call('receiveNar', upload, body))
  }

  /** A NAR that the cache itself fetches, from an upstream; `register` it with `references: 'any'`. */
  async fetchNar(nar: FetchNar, body: AsyncIterable<Uint8Array>): Promise<NarReceived> {
    return this.noteShortage(await this.writer.call('fetchNar', nar, body))
  }

  /** A narinfo that stock Nix sends; `hashPart` is that of the request. */
  async registerNarInfo(hashPart: string, info: NarInfo, who: Pusher): Promise<Registered> {
    const path = toPushedPath(hashPart, info)
    if ('status' in path) return path
    const verdicts = await this.register({ paths: [path], who, isAtomic: true })
    return 'status' in verdicts ? verdicts : verdicts[0]!
  }

  /** Many paths in one transaction; a verdict for each. */
  async register(commit: Commit): Promise<readonly Registered[] | Refusal> {
    return this.noteShortage(await this.writer.call('register', commit))
  }

  async putPart(part: PutPart, body: AsyncIterable<Uint8Array>): Promise<PartReceived> {
    return this.noteShortage(await this.writer.call('putPart', part, body))
  }

  async putBatch(batch: PutBatch, body: AsyncIterable<Uint8Array>): Promise<readonly NarReceived[] | Refusal> {
    return this.noteShortage(await this.writer.call('putBatch', batch, body))
  }

  async commit(options: CommitOptions): Promise<readonly Committed[] | Refusal> {
    return this.noteShortage(await this.writer.call('commit', options))
  }

  putDocument(
    kind: 'realisation' | 'build-trace' | 'debuginfo',
    key: string,
    text: string,
    who: Pusher,
  ): Promise<'stored' | 'known' | 'conflict' | Refusal> {
    return this.writer.call('putDocument', { kind, key, text, who })
  }

  putLog(log: PutLog, body: AsyncIterable<Uint8Array>): Promise<'stored' | 'known' | 'conflict' | Refusal> {
    return this.writer.call('putLog', log, body)
  }

  setPin(pin: PinRequest): Promise<'stored' | Refusal> {
    return this.writer.call('setPin', pin)
  }

  removePin(name: string, user: string): Promise<boolean | Refusal> {
    return this.writer.call('removePin', { name, user })
  }

  collect(options: GcOptions): Promise<GcReport | Refusal> {
    return this.writer.call('collect', options)
  }

  explain(storePath: string): Promise<readonly { readonly storePath: string; readonly why: string }[] | undefined> {
    return this.writer.call('explain', storePath)
  }

  forget(storePaths: readonly string[], by: string): Promise<readonly string[] | Refusal> {
    return this.writer.call('forget', { storePaths, by })
  }

  forgetPushedBy(user: string, since: number, by: string): Promise<readonly string[] | Refusal> {
    return this.writer.call('forgetPushedBy', { user, since, by })
  }

  allow(storePath: string, by: string): Promise<boolean | Refusal> {
    return this.writer.call('allow', { storePath, by })
  }

  verify(): Promise<VerifyReport | Refusal> {
    return this.writer.call('verify', undefined as never)
  }

  backUp(): Promise<string | Refusal> {
    return this.writer.call('backUp', undefined as never)
  }

  /** Writes down at once what was used, instead of within a minute. */
  noteUses(): Promise<void> {
    return this.writer.call('noteUses', undefined as never)
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.#stopMaintenance()
    await this.writer.close()
    await super[Symbol.asyncDispose]()
    this.#lock[Symbol.dispose]()
  }
}

const acceptedCompressions: ReadonlySet<Compression> = new Set<Compression>([
  'none',
  'zstd',
  'xz',
  'br',
  'bzip2',
  'gzip',
])
