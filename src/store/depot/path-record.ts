/**
 * A path as Burrow's client describes it in JSON, for plan and commit:
 *
 *     { "storePath": "/nix/store/…", "narHash": "sha256:<52 Nix32>" (or SRI), "narSize": 400, "references": ["/nix/store/…"], "deriver": "…", "signatures": ["name:…"], "ca": "…" }
 *
 * Only the shape is looked at here; what the strings say is judged where the path is planned or registered.
 */
import { parseContentAddress } from '../../nix/content-address.ts'
import { toNix32Sha256 } from '../../nix/hash.ts'
import type { PathRecord } from './types.ts'

const maxTexts = 65_536

/** Undefined when it has not this shape. */
export function parsePathRecord(value: unknown): PathRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { storePath, narHash, narSize, references, deriver, signatures = [], ca } = value as Readonly<Record<string, unknown>>
  const hash = typeof narHash === 'string' ? toNix32Sha256(narHash) : undefined
  if (typeof storePath !== 'string' || hash === undefined || typeof narSize !== 'number') return undefined
  if (!isTexts(references) || !isTexts(signatures) || !isOptionalText(deriver) || !isOptionalText(ca)) return undefined
  const contentAddress = typeof ca === 'string' ? parseContentAddress(ca) : undefined
  if (typeof ca === 'string' && contentAddress === undefined) return undefined
  return { storePath, narHash: hash, narSize, references, deriver: deriver ?? undefined, signatures, contentAddress }
}

/** Undefined when one of them has not this shape, or there are more than `maxPaths`. */
export function parsePathRecords(value: unknown, maxPaths: number): PathRecord[] | undefined {
  if (!Array.isArray(value) || value.length > maxPaths) return undefined
  const records = value.map(parsePathRecord)
  return records.includes(undefined) ? undefined : (records as PathRecord[])
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= maxTexts && value.every((text) => typeof text === 'string')
}

function isOptionalText(value: unknown): value is string | null | undefined {
  return value === undefined || value === null || typeof value === 'string'
}
