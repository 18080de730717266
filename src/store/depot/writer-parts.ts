/** The parts of the writer, put together. */
import { join } from 'node:path'

import { type Disk, systemDisk } from '../../disk/disk.ts'
import { Acceptance } from './acceptance.ts'
import { Assemblies } from './assemblies.ts'
import { Backups } from './backups.ts'
import { BatchUploads } from './batch-uploads.ts'
import { BuildLogFiles } from './build-log-files.ts'
import { LocalFiles, narKey } from './depot-files.ts'
import { Guard } from './guard.ts'
import type { WriterHost } from './host.ts'
import { NarShelf } from './nar-shelf.ts'
import { rereadContent } from './reread.ts'
import { Reserve } from './reserve.ts'
import { Retention } from './retention.ts'
import { Room } from './room.ts'
import type { Records } from './sqlite/records.ts'
import { isDatabaseFull, type WritingDatabase } from './sqlite/writing-database.ts'
import type { DepotPolicy } from './types.ts'
import { Uploads } from './uploads.ts'

export interface WriterOptions {
  readonly dir: string
  readonly storeDir: string
  readonly maxBytes: number
  readonly keepFree: number
  readonly reserveBytes: number
  readonly policy: DepotPolicy
  /** Where `xz` and `bzip2` are looked for. */
  readonly searchPath: string
  readonly maxXzMemoryBytes: number
}

/** Injected dependencies. */
export interface WriterMeans {
  readonly disk: Disk
  readonly now: () => number
  readonly random: () => string
}

export const systemMeans: WriterMeans = { disk: systemDisk, now: Date.now, random: () => crypto.randomUUID() }

export interface WriterParts {
  readonly policy: DepotPolicy
  readonly host: WriterHost
  readonly now: () => number
  readonly guard: Guard
  readonly database: WritingDatabase
  readonly records: Records
  readonly files: LocalFiles
  readonly reserve: Reserve
  readonly retention: Retention
  readonly acceptance: Acceptance
  readonly backups: Backups
  readonly assemblies: Assemblies
  readonly logs: BuildLogFiles
  readonly uploads: Uploads
  readonly batches: BatchUploads
  /** Writes down what was used since the last time. */
  noteUses(): Promise<void>
}

export function createWriterParts(
  options: WriterOptions,
  host: WriterHost,
  { disk, now, random }: WriterMeans,
  database: WritingDatabase,
  records: Records,
): WriterParts {
  const { dir, policy, storeDir } = options
  const guard = new Guard(host.log)
  const files = new LocalFiles(dir, disk)
  const shelf = new NarShelf(records, files)
  const reserve = new Reserve(join(dir, 'reserved'), options.reserveBytes)
  const noteUses = () => writeUses(host, records)
  const retention = new Retention({
    records,
    shelf,
    policy,
    now,
    noteUses,
    removing: (run) => runRemoval(run, records, reserve, host),
    dropUploads: (before) => assemblies.drop(records.assembliesBefore(before)),
  })
  const room = new Room(options, records, (bytes) => retention.evict(bytes))
  const uploadParts = { dir, disk, policy, records, shelf, room, host, now, random, decoding: options }
  const uploads = new Uploads(uploadParts)
  const checkQuota = (user: string, bytes: number) => uploads.checkQuota(user, bytes)
  const batches = new BatchUploads(uploadParts, checkQuota)
  const assemblies: Assemblies = new Assemblies({
    dir,
    disk,
    records,
    now,
    random,
    maxNarBytes: policy.maxNarBytes,
    decoding: options,
    checkQuota,
    reserve: (bytes) => room.reserve(bytes),
    shelve: (file, localFile, who, alsoWrite) => uploads.shelve(file, localFile, who, alsoWrite),
    log: (err, message) => host.log('error', { err }, message),
  })
  const acceptance = new Acceptance({
    storeDir,
    policy,
    records,
    host,
    now,
    adopt: (info, who) => guard.run(() => uploads.adopt(info, who)),
    hashContent: (nar, method, algorithm) => rereadContent(files.open(narKey(nar)), nar, method, algorithm, options),
  })
  return {
    policy,
    host,
    now,
    guard,
    database,
    records,
    files,
    reserve,
    retention,
    acceptance,
    backups: new Backups(dir, disk, database),
    assemblies,
    logs: new BuildLogFiles({ dir, disk, files, records, now, random }),
    uploads,
    batches,
    noteUses,
  }
}

async function writeUses(host: WriterHost, records: Records): Promise<void> {
  const uses = await host.takeUses()
  if (uses.length === 0) return
  await records.transaction(() => {
    for (const { hashPart, at, isPromised } of uses) records.noteUse(hashPart, at, isPromised)
  })
}

/** Runs a transaction that removes. If the disk is full, it gives up the reserve and runs it again. */
async function runRemoval<T>(run: () => T, records: Records, reserve: Reserve, host: WriterHost): Promise<T> {
  try {
    return await records.transaction(run)
  } catch (error) {
    if (!isDatabaseFull(error) || !(await reserve.giveUp())) throw error
    host.log('warn', {}, 'depot disk is full: released the reserved space so that objects can be removed')
    return await records.transaction(run)
  }
}
