/**
 * What a start finds after any end of the run before: bodies that never became anything are swept, files without a row
 * are removed (no client knows them), rows without their file are taken out of service and reported. Names and
 * sizes only; nothing is read.
 */
import { dirname, join } from 'node:path'

import type { Disk } from '../../disk/disk.ts'
import { type DepotFiles, logKey, narFolders, narKey } from './depot-files.ts'
import type { WriterHost } from './host.ts'
import type { Records } from './sqlite/records.ts'

export interface RecoveryReport {
  readonly sweptFiles: number
  readonly lostNars: number
}

export async function prepareDirectories(dir: string, disk: Disk): Promise<void> {
  for (const folder of ['nar', 'log', 'in', 'part', 'backup']) await disk.makeDirectory(join(dir, folder))
  for (const folder of narFolders) await disk.makeDirectory(join(dir, folder))
  for (const folder of ['nar', 'log', '.']) await disk.syncDirectory(join(dir, folder))
}

export async function recover(
  dir: string,
  disk: Disk,
  files: DepotFiles,
  records: Records,
  host: WriterHost,
  now: number,
): Promise<RecoveryReport> {
  let sweptFiles = 0
  for (const name of await disk.list(join(dir, 'in'))) {
    await disk.removeTree(join(dir, 'in', name))
    sweptFiles++
  }
  sweptFiles += await sweepParts(dir, disk, files, records)
  const wanted = new Map<
    string,
    { readonly fileSize: number; readonly narHash?: string; readonly drv?: string; readonly isDamaged?: boolean }
  >()
  for (const nar of records.allNars()) wanted.set(narKey(nar), nar)
  for (const log of records.allLogs()) wanted.set(logKey(log.drv), log)
  for (const folder of [...narFolders, ...(await files.list('log'))]) {
    for (const key of await files.list(folder)) {
      const row = wanted.get(key)
      if (row === undefined) {
        await files.remove(key)
        sweptFiles++
      } else if ((await files.has(key)) === row.fileSize) wanted.delete(key)
    }
  }
  let lostNars = 0
  for (const [key, { narHash, drv, isDamaged }] of wanted) {
    if (isDamaged === true) continue
    if (drv !== undefined) await records.transaction(() => records.removeLog(drv))
    if (narHash === undefined) continue
    lostNars++
    const paths = records.pathsOfNar(narHash)
    host.log(
      'error',
      { file: key, storePaths: paths },
      'a file of the depot is missing or has another length: its paths are out of service until they are pushed again',
    )
    await records.transaction(() => {
      records.markDamaged(narHash, now)
      for (const storePath of paths) records.addEvent('lost', { user: 'burrow' }, now, { storePath, narHash })
    })
  }
  return { sweptFiles, lostNars }
}

/** Folders of assemblies that are no more, and parts that one side knows and the other does not. */
async function sweepParts(dir: string, disk: Disk, files: DepotFiles, records: Records): Promise<number> {
  let swept = 0
  const known = new Set(records.allAssemblies().map(String))
  for (const name of await disk.list(join(dir, 'part'))) {
    if (known.has(name)) continue
    await disk.removeTree(join(dir, 'part', name))
    swept++
  }
  for (const id of records.allAssemblies()) {
    const folder = join(dir, 'part', String(id))
    const found = new Set(await disk.list(folder))
    const waiting = records.waitingParts(id)
    const lost = waiting.filter((index) => !found.has(String(index)))
    const { flushedParts, flushedBytes, narHash } = records.findAssemblyById(id)!
    if (!found.has('nar') && flushedParts > 0)
      await takeBack(join(folder, 'nar'), dir, disk, files, records, narHash, flushedBytes)
    const grown = flushedParts === 0 ? 0 : ((await disk.sizeOf(join(folder, 'nar'))) ?? -1)
    if (grown < flushedBytes && flushedParts > 0) {
      await records.transaction(() => records.removeAssembly(id))
      await disk.removeTree(folder)
      swept++
      continue
    }
    if (lost.length > 0) {
      await records.transaction(() => {
        for (const index of lost) records.removePart(id, index)
      })
    }
    for (const name of found) {
      if (name === 'nar' || waiting.includes(Number(name))) continue
      await disk.unlink(join(folder, name))
      swept++
    }
  }
  return swept
}

/**
 * A finished file that had its last name already when its row was not yet written: back to its assembly, whose parts it
 * holds.
 */
async function takeBack(
  grown: string,
  dir: string,
  disk: Disk,
  files: DepotFiles,
  records: Records,
  narHash: string,
  fileBytes: number,
): Promise<void> {
  const kept = records.findNar(narHash)
  const bare = narHash.slice(7)
  for (const key of await files.list(`nar/${bare.slice(0, 2)}`)) {
    const isOrphan =
      key.includes(`/${bare}.`) && (kept === undefined || narKey(kept) !== key) && (await files.has(key)) === fileBytes
    if (!isOrphan) continue
    await disk.makeDirectory(dirname(grown))
    await disk.rename(join(dir, key), grown)
    await disk.syncDirectory(dirname(grown))
    return
  }
}
