/**
 * Narinfos for the reference server, signed like Burrow's and of the same length: what a static binary cache made by
 * `nix copy --to file://` holds. Source: Nix manual, "narinfo"; fingerprint `1;<path>;<NAR hash>;<NAR
 * size>;<references>`.
 */
import { sign } from 'node:crypto'
import type { SigningKey } from './nix.ts'
import type { StoreObject } from './store.ts'

export interface NarInfoFile {
  readonly url: string
  readonly compression: 'none' | 'zstd'
  /** `sha256:` and 52 Nix32 characters. */
  readonly fileHash: string
  readonly fileSize: number
}

export function formatNarInfo(object: StoreObject, file: NarInfoFile, key: SigningKey): string {
  const baseName = (path: string): string => path.slice('/nix/store/'.length)
  const fingerprint = `1;${object.storePath};sha256:${object.narHash};${object.narSize};${object.references.join(',')}`
  const signature = sign(null, Buffer.from(fingerprint), key.key).toString('base64')
  const lines = [
    `StorePath: ${object.storePath}`,
    `URL: ${file.url}`,
    `Compression: ${file.compression}`,
    `FileHash: ${file.fileHash}`,
    `FileSize: ${file.fileSize}`,
    `NarHash: sha256:${object.narHash}`,
    `NarSize: ${object.narSize}`,
    `References: ${object.references.map(baseName).join(' ')}`,
  ]
  if (object.deriver !== '') lines.push(`Deriver: ${baseName(object.deriver)}`)
  return `${[...lines, `Sig: ${key.name}:${signature}`].join('\n')}\n`
}
