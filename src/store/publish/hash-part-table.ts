/**
 * A set of hash parts, each with a number, in typed arrays: it moves between threads without being copied, and 100,000
 * entries take 5 MB. An open hash table with a seed of its own: which hash parts share a slot cannot be prepared.
 */
import { randomInt } from 'node:crypto'

import { parseHashPart } from '../../nix/store-path.ts'

export interface HashPartArrays {
  /** 32 bytes each, Nix32 in ASCII. */
  readonly keys: Uint8Array<ArrayBuffer>
  readonly values: Float64Array<ArrayBuffer>
  /** Indexes of entries plus 1, by hash; 0 is free. The length is a power of 2. */
  readonly slots: Uint32Array<ArrayBuffer>
  readonly seed: number
}

const keyBytes = 32

/** Of two entries with the same hash part the later one counts. */
export function buildTable(
  count: number,
  entries: Iterable<readonly [hashPart: string, value: number]>,
): HashPartArrays {
  let length = 16
  while (length < count * 2) length *= 2
  const arrays = {
    keys: new Uint8Array(count * keyBytes),
    values: new Float64Array(count),
    slots: new Uint32Array(length),
    seed: randomInt(2 ** 32),
  }
  let size = 0
  for (const [hashPart, value] of entries) {
    const slot = findSlot(arrays, hashPart)
    const found = arrays.slots[slot]!
    if (found > 0) arrays.values[found - 1] = value
    else {
      for (let at = 0; at < keyBytes; at++) arrays.keys[size * keyBytes + at] = hashPart.charCodeAt(at)
      arrays.values[size] = value
      arrays.slots[slot] = ++size
    }
  }
  return arrays
}

/** The value; undefined if it is not in the table. */
export function findInTable(arrays: HashPartArrays, hashPart: string): number | undefined {
  if (parseHashPart(hashPart) === undefined) return undefined
  const found = arrays.slots[findSlot(arrays, hashPart)]!
  return found === 0 ? undefined : arrays.values[found - 1]
}

/** The slot that holds it, or the free one where it belongs. At least half of them are free. */
function findSlot({ keys, slots, seed }: HashPartArrays, hashPart: string): number {
  const mask = slots.length - 1
  let slot = hashOf(hashPart, seed) & mask
  for (let found = slots[slot]!; found > 0; found = slots[slot]!) {
    if (isKey(keys, (found - 1) * keyBytes, hashPart)) return slot
    slot = (slot + 1) & mask
  }
  return slot
}

function isKey(keys: Uint8Array, start: number, hashPart: string): boolean {
  for (let at = 0; at < keyBytes; at++) if (keys[start + at] !== hashPart.charCodeAt(at)) return false
  return true
}

/** FNV-1a, and its upper bits folded into the lower ones. */
function hashOf(hashPart: string, seed: number): number {
  let hash = seed
  for (let at = 0; at < keyBytes; at++) hash = Math.imul(hash ^ hashPart.charCodeAt(at), 0x01000193)
  return hash ^ (hash >>> 15)
}
