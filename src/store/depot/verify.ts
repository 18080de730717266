/**
 * Reads every kept file and compares it with its record, at low priority: a pause after each step, as long as the step
 * took.
 */
import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'

import { formatSha256 } from '../../nix/hash.ts'
import { type DepotFiles, narKey } from './depot-files.ts'
import type { Records } from './sqlite/records.ts'

export interface VerifyReport {
  readonly files: number
  readonly bytes: number
  readonly damaged: readonly {
    readonly narHash: string
    readonly reason: string
    readonly storePaths: readonly string[]
  }[]
}

/** What the hash of a NAR's file says stands for the NAR: both were found right when it came. */
export async function verifyAll(
  kept: DepotFiles,
  records: Records,
  onDamaged: (narHash: string, reason: string) => Promise<void>,
  isStopped: () => boolean,
): Promise<VerifyReport> {
  const damaged: { narHash: string; reason: string; storePaths: string[] }[] = []
  let [files, bytes] = [0, 0]
  for (const nar of records.allNars()) {
    if (isStopped()) break
    const reason = nar.isDamaged ? 'it was found damaged before' : await verifyFile(kept.open(narKey(nar)), nar)
    files++
    bytes += nar.fileSize
    // Removed or replaced while it was read: not damaged.
    if (reason === undefined || records.findNar(nar.narHash)?.fileHash !== nar.fileHash) continue
    damaged.push({ narHash: nar.narHash, reason, storePaths: records.pathsOfNar(nar.narHash) })
    if (!nar.isDamaged) await onDamaged(nar.narHash, reason)
  }
  return { files, bytes, damaged }
}

async function verifyFile(
  file: AsyncIterable<Uint8Array>,
  { fileHash, fileSize }: { readonly fileHash: string; readonly fileSize: number },
): Promise<string | undefined> {
  try {
    const hash = createHash('sha256')
    let size = 0
    let started = performance.now()
    for await (const bytes of file) {
      hash.update(bytes)
      size += bytes.length
      await pause(performance.now() - started)
      started = performance.now()
    }
    if (size !== fileSize) return `it has ${size} bytes instead of ${fileSize}`
    const found = formatSha256(hash.digest())
    return found === fileHash ? undefined : `it hashes to ${found}`
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === 'ENOENT' ? 'it is gone' : `it cannot be read (${code})`
  }
}
