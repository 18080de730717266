/**
 * A store object as a cache offers it: what the store knows of it, where its NAR is to be had, and who vouches for it.
 *
 *     StorePath: /nix/store/iah2ssqwr7r48743cbcv36fnp35mfpms-app-1.0
 *     URL: nar/0asf6nvypwy3lci830c7gcqbsfx9vx3prxy3w6x2vdnfg0sx99jv.nar.xz
 *     Compression: xz
 *     …
 *
 * The order of the fields is Nix's own. `parse-nar-info.ts` reads them. Source: Nix, `NarInfo::to_string`; manual, "nix path-info --json".
 */
import { formatHash, parseHash } from './hash.ts'
import type { PathInfo } from './path-info.ts'

/** The values of `Compression` which every Nix understands; some versions end the whole program at any other. */
export const compressions = ['none', 'xz', 'bzip2', 'gzip', 'zstd', 'br', 'lz4', 'lzip', 'lzma', 'compress'] as const

export type Compression = (typeof compressions)[number]

/** References are sorted and absolute, as in `PathInfo`; so is the deriver. All lie in the store directory of `storePath`. */
export interface NarInfo extends Omit<PathInfo, 'registrationTime' | 'ultimate'> {
  /** Relative to the cache's own URL, unless the cache is somebody else's: then nothing but "not empty" is known of it. */
  readonly url: string
  readonly compression: Compression
  /** `sha256:` and 52 Nix32 characters: the hash of the file at `url`. Undefined while it is not known. */
  readonly fileHash: string | undefined
  /** Bytes of the file at `url`. */
  readonly fileSize: number | undefined
  /** `x86_64-linux`; a courtesy which Nix itself does not need. */
  readonly system: string | undefined
  /** Known of the own store's paths only. */
  readonly registrationTime?: number
  readonly ultimate?: boolean
}

/** The text as Nix writes it, byte for byte: `References: ` ends with a space when there are none. */
export function formatNarInfo(info: NarInfo): string {
  const { storePath, references, deriver } = info
  const baseNameStart = storePath.lastIndexOf('/') + 1
  let text = `StorePath: ${storePath}\nURL: ${info.url}\nCompression: ${info.compression}\n`
  if (info.fileHash !== undefined) text += `FileHash: ${info.fileHash}\n`
  if (info.fileSize !== undefined) text += `FileSize: ${info.fileSize}\n`
  text += `NarHash: ${info.narHash}\nNarSize: ${info.narSize}\nReferences:`
  if (references.length === 0) text += ' '
  for (const reference of references) text += ` ${reference.slice(baseNameStart)}`
  text += '\n'
  if (deriver !== undefined) text += `Deriver: ${deriver.slice(baseNameStart)}\n`
  if (info.system !== undefined) text += `System: ${info.system}\n`
  for (const signature of info.signatures) text += `Sig: ${signature}\n`
  if (info.contentAddress !== undefined) text += `CA: ${info.contentAddress}\n`
  return text
}

/** The value of `?json`: what `nix path-info --json` of Nix 2.34 tells of a path in a binary cache, with the path itself. Hashes are SRI, store paths absolute. */
export interface NarInfoJson {
  readonly path: string
  readonly narHash: string
  readonly narSize: number
  readonly references: readonly string[]
  readonly ca: string | null
  readonly deriver: string | null
  readonly signatures: readonly string[]
  readonly url: string
  readonly compression: Compression
  readonly downloadHash?: string
  readonly downloadSize?: number
  readonly registrationTime?: number
  readonly ultimate?: boolean
}

export function formatNarInfoJson(info: NarInfo): NarInfoJson {
  return {
    path: info.storePath,
    narHash: toSri(info.narHash),
    narSize: info.narSize,
    references: info.references,
    ca: info.contentAddress ?? null,
    deriver: info.deriver ?? null,
    signatures: info.signatures,
    url: info.url,
    compression: info.compression,
    ...(info.fileHash !== undefined && { downloadHash: toSri(info.fileHash) }),
    ...(info.fileSize !== undefined && { downloadSize: info.fileSize }),
    ...(info.registrationTime !== undefined && { registrationTime: info.registrationTime }),
    ...(info.ultimate !== undefined && { ultimate: info.ultimate }),
  }
}

function toSri(text: string): string {
  const hash = parseHash(text)
  return hash === undefined ? text : formatHash(hash, 'sri')
}
