/**
 * The file names that Nix gives to NARs: `nar/<52 Nix32>.nar` plus a compression suffix. The depot looks up no other
 * names that a client sends.
 */
import type { Compression } from './nar-info.ts'

const suffixes: Readonly<Record<string, Compression>> = {
  '': 'none',
  '.zst': 'zstd',
  '.xz': 'xz',
  '.br': 'br',
  '.bz2': 'bzip2',
  '.gz': 'gzip',
}
const pattern = /^nar\/([0-9a-df-np-sv-z]{52})\.nar(\.[a-z0-9]+)?$/

export interface NarFileUrl {
  /** `sha256:<52 Nix32>` */
  readonly fileHash: string
  readonly compression: Compression
}

export function parseNarFileUrl(url: string): NarFileUrl | undefined {
  const parts = pattern.exec(url)
  const compression = parts === null ? undefined : suffixes[parts[2] ?? '']
  return compression && { fileHash: `sha256:${parts![1]}`, compression }
}

/**
 * Returns true if this cache itself serves that NAR at this URL (`nar/<hash part>-<NAR hash>….nar`). A client that
 * reads our narinfo, adds a signature and uploads it sends such a URL.
 */
export function isOwnNarUrl(url: string, hashPart: string, narHash: string): boolean {
  const start = `nar/${hashPart}-${narHash.slice('sha256:'.length)}`
  return url.startsWith(start) && /^(?:\.[0-9a-z.-]{1,80})?\.nar$/.test(url.slice(start.length))
}
