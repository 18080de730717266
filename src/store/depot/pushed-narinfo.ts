/** A narinfo as stock Nix sends it, as the path that it wants to register. */
import { isOwnNarUrl, parseNarFileUrl } from '../../nix/nar-file-url.ts'
import type { NarInfo } from '../../nix/nar-info.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import { type PushedPath, type Refusal, refuse } from './types.ts'

/** `hashPart`: that of the request. */
export function toPushedPath(hashPart: string, info: NarInfo): PushedPath | Refusal {
  if (hashPartOf(info.storePath) !== hashPart)
    return refuse('mismatch', `StorePath ${info.storePath} does not belong to ${hashPart}.narinfo`)
  const { storePath, narHash, narSize, references, deriver, signatures, contentAddress } = info
  const path = { storePath, narHash, narSize, references, deriver, signatures, contentAddress }
  if (isOwnNarUrl(info.url, hashPart, narHash)) return path
  const url = parseNarFileUrl(info.url)
  if (url === undefined)
    return refuse(
      'mismatch',
      'URL does not name a file of this cache as Nix writes it: nar/<file hash>.nar and the suffix of its compression',
    )
  const isGzip = url.compression === 'none' && info.compression === 'gzip'
  if (url.compression !== info.compression && !isGzip)
    return refuse('mismatch', `Compression is ${info.compression}, but URL ends as for ${url.compression}`)
  if (info.fileHash !== undefined && info.fileHash !== url.fileHash)
    return refuse('mismatch', `FileHash is ${info.fileHash}, but URL names ${url.fileHash}`)
  const file = { fileHash: url.fileHash, fileSize: info.fileSize, compression: info.compression }
  return { ...path, file }
}
