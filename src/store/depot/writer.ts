/**
 * The depot's writer: everything that touches its files or changes its database happens here, in one thread of its own.
 * Each public call takes one argument that can be cloned (and a body, if it receives one), and resolves when its result
 * survives kill -9 and a power cut. Refusals are values; see guard.ts.
 */

import { join } from 'node:path'

import type { Commit } from './acceptance.ts'
import type { PartReceived } from './assemblies.ts'
import type { PutBatch } from './batch-uploads.ts'
import type { PutLog } from './build-log-files.ts'
import { type CommitOptions, type Committed, commitPaths } from './committing.ts'
import { LocalFiles } from './depot-files.ts'
import type { GcReport } from './gc-plan.ts'
import type { Guard } from './guard.ts'
import type { WriterHost } from './host.ts'
import type { PutPart } from './part-form.ts'
import { type PinRequest, putPin, removePin } from './pins.ts'
import { prepareDirectories, type RecoveryReport, recover } from './recovery.ts'
import type { GcOptions, Retention } from './retention.ts'
import { Records } from './sqlite/records.ts'
import { WritingDatabase } from './sqlite/writing-database.ts'
import type { NarReceived, Pusher, Refusal, Registered } from './types.ts'
import type { FetchNar, ReceiveNar } from './uploads.ts'
import { type VerifyReport, verifyAll } from './verify.ts'
import {
  createWriterParts,
  systemMeans,
  type WriterMeans,
  type WriterOptions,
  type WriterParts,
} from './writer-parts.ts'

interface ForgetRequest {
  readonly storePaths: readonly string[]
  readonly by: string
}

interface ForgetPushedBy {
  readonly user: string
  /** Milliseconds since 1970. */
  readonly since: number
  readonly by: string
}

interface PushedDocument {
  readonly kind: string
  readonly key: string
  readonly text: string
  readonly who: Pusher
}

export class DepotWriter {
  readonly recovered: RecoveryReport
  readonly #parts: WriterParts
  readonly #guard: Guard

  static async open(options: WriterOptions, host: WriterHost, means: WriterMeans = systemMeans): Promise<DepotWriter> {
    const { dir } = options
    await prepareDirectories(dir, means.disk)
    const database = new WritingDatabase(join(dir, 'depot.db'))
    try {
      const records = new Records(database)
      const recovered = await recover(dir, means.disk, new LocalFiles(dir, means.disk), records, host, means.now())
      const parts = createWriterParts(options, host, means, database, records)
      await parts.reserve.take()
      await parts.retention.expire()
      return new DepotWriter(parts, recovered)
    } catch (error) {
      database[Symbol.dispose]()
      throw error
    }
  }

  private constructor(parts: WriterParts, recovered: RecoveryReport) {
    this.#parts = parts
    this.#guard = parts.guard
    this.recovered = recovered
  }

  /** A NAR as stock Nix sends it. It waits as `loose` until a path names it. */
  receiveNar(upload: ReceiveNar, body: AsyncIterable<Uint8Array>): Promise<NarReceived> {
    return this.#guard.run(() => this.#parts.uploads.receive(upload, body))
  }

  /** A NAR that the cache itself fetches; the NAR hash is known. */
  fetchNar(nar: FetchNar, body: AsyncIterable<Uint8Array>): Promise<NarReceived> {
    return this.#guard.run(() => this.#parts.uploads.fetch(nar, body))
  }

  register(commit: Commit): Promise<readonly Registered[] | Refusal> {
    return this.#guard.run(() => this.#parts.acceptance.register(commit))
  }

  putPart(part: PutPart, body: AsyncIterable<Uint8Array>): Promise<PartReceived> {
    return this.#guard.run(() => this.#parts.assemblies.put(part, body))
  }

  /** Many small NARs in one body; a reply for each. */
  putBatch(batch: PutBatch, body: AsyncIterable<Uint8Array>): Promise<readonly NarReceived[] | Refusal> {
    return this.#guard.run(() => this.#parts.batches.receive(batch, body, (work) => this.#guard.run(work)))
  }

  /** Registers what is whole; says what is missing of the rest. */
  commit(options: CommitOptions): Promise<readonly Committed[] | Refusal> {
    return this.#guard.run(() => commitPaths(options, this.#parts))
  }

  /** Writes down what was used since the last time. */
  noteUses(): Promise<void> {
    return this.#parts.noteUses()
  }

  /** A file that failed its hash while it was read. */
  async markDamaged({ narHash, reason }: { readonly narHash: string; readonly reason: string }): Promise<void> {
    const { records } = this.#parts
    const now = this.#parts.now()
    const paths = records.pathsOfNar(narHash)
    await records.transaction(() => {
      if (!records.markDamaged(narHash, now)) return
      for (const storePath of paths)
        records.addEvent('damaged', { user: 'burrow' }, now, { storePath, narHash, detail: reason })
    })
  }

  collect(options: GcOptions): Promise<GcReport | Refusal> {
    return this.#guard.run(async () => {
      const report = await this.#parts.retention.collect(options)
      if (!options.isDryRun) await this.#parts.reserve.take()
      return report
    })
  }

  expire(): Promise<undefined | Refusal> {
    return this.#guard.run(async () => {
      await this.#parts.retention.expire()
      return undefined
    })
  }

  explain(storePath: string): ReturnType<Retention['explain']> {
    return this.#parts.retention.explain(storePath)
  }

  forget({ storePaths, by }: ForgetRequest): Promise<readonly string[] | Refusal> {
    return this.#guard.run(() => this.#parts.retention.forget(storePaths, by))
  }

  /** Forgets what this user pushed since then. */
  forgetPushedBy({ user, since, by }: ForgetPushedBy): Promise<readonly string[] | Refusal> {
    const { records, retention } = this.#parts
    return this.#guard.run(() => retention.forget(records.pushedBy(user, since), by))
  }

  allow({ storePath, by }: { readonly storePath: string; readonly by: string }): Promise<boolean | Refusal> {
    return this.#guard.run(() => this.#parts.retention.allow(storePath, by))
  }

  setPin(pin: PinRequest): Promise<'stored' | Refusal> {
    const { records, now } = this.#parts
    return this.#guard.run(() => records.transaction(() => putPin(records, pin, now())))
  }

  removePin(pin: { readonly name: string; readonly user: string }): Promise<boolean | Refusal> {
    const { records, now } = this.#parts
    return this.#guard.run(() => records.transaction(() => removePin(records, pin, now())))
  }

  putDocument({ kind, key, text, who }: PushedDocument): Promise<'stored' | 'known' | 'conflict' | Refusal> {
    const { records, now } = this.#parts
    return this.#guard.run(() => records.transaction(() => records.addDocument(kind, key, text, who.user, now())))
  }

  putLog(log: PutLog, body: AsyncIterable<Uint8Array>): Promise<'stored' | 'known' | 'conflict' | Refusal> {
    return this.#guard.run(() => this.#parts.logs.put(log, body))
  }

  verify(): Promise<VerifyReport | Refusal> {
    const onDamaged = (narHash: string, reason: string) => this.markDamaged({ narHash, reason })
    const { files, records } = this.#parts
    return this.#guard.run(() => verifyAll(files, records, onDamaged, () => this.#guard.isClosed))
  }

  /** A copy of the database for today, unless there is one. */
  backUp(): Promise<string | Refusal> {
    return this.#guard.run(() => this.#parts.backups.makeForDay(this.#parts.now()))
  }

  async close(): Promise<void> {
    if (this.#guard.isClosed) return
    await this.noteUses().catch(() => {})
    await this.#guard.close()
    await this.#parts.assemblies.close()
    this.#parts.database[Symbol.dispose]()
  }
}
