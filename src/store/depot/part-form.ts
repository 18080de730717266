/** What a part must look like before its body is read. */
import { countParts } from '../../nar/part-ranges.ts'
import { type Pusher, Refused } from './types.ts'

export interface PutPart {
  readonly narHash: string
  readonly narSize: number
  readonly partBytes: number
  readonly index: number
  /** SHA-256 of the body, base64. */
  readonly digest: string
  readonly bodyBytes: number
  readonly encoding: 'zstd' | 'gzip'
  readonly who: Pusher
}

export const partLimits = { min: 2 ** 20, max: 32 * 2 ** 20, default: 8 * 2 ** 20 }
/** @throws {Refused} */
export function checkPartForm({ narHash, narSize, partBytes, index, bodyBytes }: PutPart, maxNarBytes: number): void {
  if (!/^sha256:[0-9a-df-np-sv-z]{52}$/.test(narHash))
    throw new Refused('mismatch', 'The NAR hash is not a SHA-256 hash in Nix32')
  if (!Number.isSafeInteger(narSize) || narSize <= 0)
    throw new Refused('mismatch', 'The NAR size is not a positive integer')
  if (narSize > maxNarBytes)
    throw new Refused('too-big', `The NAR is larger than ${maxNarBytes} bytes, the limit of this cache`)
  if (!Number.isSafeInteger(partBytes) || partBytes < partLimits.min || partBytes > partLimits.max) {
    throw new Refused('mismatch', `Parts must hold ${partLimits.min} to ${partLimits.max} bytes`)
  }
  if (!Number.isSafeInteger(index) || index < 0 || index >= countParts(narSize, partBytes))
    throw new Refused('mismatch', 'The NAR has no part with this number')
  // What zstd makes of noise, and gzip too.
  if (bodyBytes > partBytes + partBytes / 64 + 4096)
    throw new Refused('too-big', 'The part is larger than what it may hold')
}
