/** Whether one store object is likely to be the next version of another: from names and sizes alone. */

export interface Candidate {
  /** Of the store path, without the hash part: `openssl-3.0.14-bin`. */
  readonly name: string
  /** Bytes. */
  readonly narSize: number
}

/** Below this, a delta saves less than the requests for it cost. */
export const minNarBytes = 64 * 1024
/** A delta larger than this share of the compressed NAR is worth neither making nor sending. */
export const maxDeltaShare = 0.6
const maxSizeRatio = 4

export function isWorthTrying(base: Candidate, target: Candidate): boolean {
  if (target.narSize <= minNarBytes) return false
  if (base.narSize > target.narSize * maxSizeRatio || target.narSize > base.narSize * maxSizeRatio) return false
  return nameWithoutVersion(base.name) === nameWithoutVersion(target.name)
}

/**
 * Drops the parts of a name that begin with a digit, and digits elsewhere, wherever an output's name follows:
 * `openssl-3.0.14-bin` is `openssl-bin`, `python3.11-requests-2.31.0` is `python-requests`.
 */
export function nameWithoutVersion(name: string): string {
  const [first, ...parts] = name.split('-')
  const named = parts.filter((part) => !/^v?\d/.test(part))
  return [first!, ...named].map((part) => part.replace(/\d+(?:\.\d+)*/g, '')).join('-')
}
