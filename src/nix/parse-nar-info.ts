/**
 * Parses narinfos exactly like Nix, oddities included: a value starts two characters after the colon (any
 * characters) and ends at the next newline after that. Fields may come in any order, unknown fields are ignored, and a
 * missing `Compression` means bzip2. Where Nix versions differ (signatures, compressions), the strictest rule applies.
 * Source: Nix, `NarInfo::NarInfo`.
 */
import { decodeBase64 } from './base64.ts'
import { parseContentAddress } from './content-address.ts'
import { formatHash, parseHash, toNix32Sha256 } from './hash.ts'
import { compressions, type NarInfo } from './nar-info.ts'
import { parseBaseName, parseStorePath } from './store-path.ts'

type Fields = { -readonly [Key in keyof NarInfo]?: NarInfo[Key] | undefined } & { signatures: string[] }

/**
 * Returns undefined for everything that Nix rejects, and for sizes above 2^53. Does not check whether the URL is safe
 * to follow.
 */
export function parseNarInfo(text: string, storeDir = '/nix/store'): NarInfo | undefined {
  const fields: Fields = { signatures: [] }
  for (let at = 0; at < text.length; ) {
    const colon = text.indexOf(':', at)
    const end = colon < 0 ? -1 : text.indexOf('\n', colon + 2)
    if (end < 0) return undefined
    const read = readers.get(text.slice(at, colon))
    if (read !== undefined && !read(fields, text.slice(colon + 2, end), storeDir)) return undefined
    at = end + 1
  }
  return complete(fields)
}

function complete(fields: Fields): NarInfo | undefined {
  const { storePath, url, narHash, narSize, compression = 'bzip2' } = fields
  if (storePath === undefined || !url || narHash === undefined || !narSize) return undefined
  return {
    storePath,
    url,
    compression,
    fileHash: fields.fileHash,
    fileSize: fields.fileSize,
    narHash,
    narSize,
    references: fields.references ?? [],
    deriver: fields.deriver,
    system: fields.system,
    signatures: [...new Set(fields.signatures)],
    contentAddress: fields.contentAddress,
  }
}

/** One reader per field: stores the value and returns false if it is invalid. */
const readers = new Map<string, (fields: Fields, value: string, storeDir: string) => boolean>([
  [
    'StorePath',
    (fields, value, storeDir) => {
      fields.storePath = parseStorePath(canonicalPath(value), storeDir)
      return fields.storePath !== undefined
    },
  ],
  [
    'URL',
    (fields, value) => {
      fields.url = value
      return true
    },
  ],
  [
    'Compression',
    (fields, value) => {
      fields.compression = value === '' ? 'bzip2' : compressions.find((known) => known === value)
      return fields.compression !== undefined
    },
  ],
  [
    'FileHash',
    (fields, value) => {
      const hash = parseHash(value)
      fields.fileHash = hash && formatHash(hash, 'nix32')
      return hash !== undefined
    },
  ],
  [
    'FileSize',
    (fields, value) => {
      fields.fileSize = parseSize(value)
      return fields.fileSize !== undefined
    },
  ],
  [
    'NarHash',
    (fields, value) => {
      fields.narHash = toNix32Sha256(value)
      return fields.narHash !== undefined
    },
  ],
  [
    'NarSize',
    (fields, value) => {
      fields.narSize = parseSize(value)
      return fields.narSize !== undefined
    },
  ],
  [
    'References',
    (fields, value, storeDir) => {
      if (fields.references !== undefined && fields.references.length > 0) return false
      const baseNames = value.split(' ').filter((word) => word !== '')
      fields.references = [...new Set(baseNames)].sort().map((baseName) => `${storeDir}/${baseName}`)
      return baseNames.every((baseName) => parseBaseName(baseName) !== undefined)
    },
  ],
  [
    'Deriver',
    (fields, value, storeDir) => {
      if (value === 'unknown-deriver') return true
      fields.deriver = `${storeDir}/${value}`
      return parseBaseName(value) !== undefined
    },
  ],
  [
    'System',
    (fields, value) => {
      fields.system = value
      return true
    },
  ],
  [
    'Sig',
    (fields, value) => {
      fields.signatures.push(value)
      const colon = value.indexOf(':')
      return colon > 0 && colon + 1 < value.length && decodeBase64(value.slice(colon + 1), 'optional') !== undefined
    },
  ],
  [
    'CA',
    (fields, value) => {
      if (fields.contentAddress !== undefined) return false
      if (value !== '') fields.contentAddress = parseContentAddress(value)
      return value === '' || fields.contentAddress !== undefined
    },
  ],
])

/** Nix drops empty and `.` components. It would also resolve `..`, which is not needed here. */
function canonicalPath(path: string): string {
  return path.replaceAll(/\/(?:\.?\/)+/g, '/').replace(/\/\.?$/, '')
}

function parseSize(text: string): number | undefined {
  const size = /^\+?\d+$/.test(text) ? Number(text) : Number.NaN
  return Number.isSafeInteger(size) ? size : undefined
}
