/** What the files of a binary cache folder say. */
import { statSync } from 'node:fs'
import { join } from 'node:path'

import type { NarInfo } from '../../nix/nar-info.ts'
import { parseNarInfo } from '../../nix/parse-nar-info.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import type { Realisation } from '../store.ts'
import { parseRelativePath } from './relative-path.ts'

export interface CacheRecord {
  readonly narInfo: NarInfo & { readonly fileHash: string; readonly fileSize: number }
  /** Absolute. */
  readonly narFile: string
  /** The narinfo file of the directory. */
  readonly text: string
}

/**
 * Undefined for a record that Nix would not take or that leads out of the folder, and for one that does not name its
 * file's hash.
 */
export function parseRecord(
  text: string,
  hashPart: string,
  { dir, storeDir }: { readonly dir: string; readonly storeDir: string },
): CacheRecord | undefined {
  const narInfo = parseNarInfo(text, storeDir)
  const path = narInfo && parseRelativePath(narInfo.url)
  if (narInfo === undefined || path === undefined || hashPartOf(narInfo.storePath) !== hashPart) return undefined
  const isPlain = narInfo.compression === 'none'
  const { fileHash = isPlain ? narInfo.narHash : undefined, fileSize = isPlain ? narInfo.narSize : undefined } = narInfo
  if (fileHash === undefined || fileSize === undefined) return undefined
  return { narInfo: { ...narInfo, fileHash, fileSize }, narFile: join(dir, path), text }
}

/** Changes when the record or its NAR file does. */
export function describeState({ text, narFile }: CacheRecord): string {
  const stat = statSync(narFile, { bigint: true, throwIfNoEntry: false })
  return `${stat?.ino} ${stat?.size} ${stat?.mtimeNs} ${stat?.ctimeNs}\n${text}`
}

export function parseRealisation(text: string): Realisation | undefined {
  try {
    const value = JSON.parse(text) as Partial<Realisation> | null
    return typeof value?.id === 'string' && typeof value.outPath === 'string' ? (value as Realisation) : undefined
  } catch {
    return undefined
  }
}
