/**
 * A narinfo: what the store knows about a path, plus the NAR's URL and the signatures.
 *
 *     StorePath: /nix/store/iah2ssqwr7r48743cbcv36fnp35mfpms-app-1.0
 *     URL: nar/0asf6nvypwy3lci830c7gcqbsfx9vx3prxy3w6x2vdnfg0sx99jv.nar.xz
 *     Compression: xz
 *     …
 *
 * Fields are in Nix's order. `parse-nar-info.ts` is the parser. Source: Nix, `NarInfo::to_string`; manual, "nix
 * path-info --json".
 */
import { formatHash, parseHash } from './hash.ts'
import type { PathInfo } from './path-info.ts'

/** `Compression` values that all Nix versions understand. Some versions abort on any other value. */
export const compressions = ['none', 'xz', 'bzip2', 'gzip', 'zstd', 'br', 'lz4', 'lzip', 'lzma', 'compress'] as const

export type Compression = (typeof compressions)[number]

/**
 * References are sorted absolute paths, as in `PathInfo`; the deriver is absolute too. All are in the store directory
 * of `storePath`.
 */
export interface NarInfo extends Omit<PathInfo, 'registrationTime' | 'ultimate'> {
  /** Relative to the cache's URL. In a narinfo of another cache it is only known to be non-empty. */
  readonly url: string
  readonly compression: Compression
  /** Hash of the file at `url`, as `sha256:` and 52 Nix32 characters. Undefined if not known yet. */
  readonly fileHash: string | undefined
  /** Size in bytes of the file at `url`. */
  readonly fileSize: number | undefined
  /** For example `x86_64-linux`. Informational: Nix does not need it. */
  readonly system: string | undefined
  /** Known only for paths of the local store. */
  readonly registrationTime?: number
  readonly ultimate?: boolean
}

/** What a narinfo says about the path itself. It says nothing about its registration. */
export function toPathInfo(narInfo: NarInfo): PathInfo {
  const { storePath, narHash, narSize, references, deriver, signatures, contentAddress } = narInfo
  return {
    storePath,
    narHash,
    narSize,
    references,
    deriver,
    signatures,
    contentAddress,
    registrationTime: 0,
    ultimate: false,
  }
}

/** Formats exactly as Nix does: without references the line is `References: `, with a trailing space. */
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

/**
 * The response to `?json`: what `nix path-info --json` of Nix 2.34 prints for a path in a binary cache, plus the path
 * itself. Hashes are SRI, store paths absolute.
 */
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
