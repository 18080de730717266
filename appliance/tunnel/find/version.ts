/** Versions of cloudflared: a date, `2025.7.0`; builds of one's own say `DEV`. */

/** Older ones lack what Burrow asks for (JSON logs, tokens from files) and are no longer supported by Cloudflare. */
export const leastVersion = '2025.7.0'

/** False when either is not a version at all. */
export function isOlder(version: string, than: string): boolean {
  const left = numbersOf(version)
  const right = numbersOf(than)
  if (left === undefined || right === undefined) return false
  const at = left.findIndex((number, index) => number !== right[index])
  return at !== -1 && left[at]! < right[at]!
}

/** `cloudflared version 2025.7.0 (built …)`, `2025.7.0`. */
export function parseVersion(output: string): string | undefined {
  return /\b\d{4}\.\d{1,2}\.\d{1,3}\b/.exec(output)?.[0] ?? /\bDEV\b/.exec(output)?.[0]
}

function numbersOf(version: string): number[] | undefined {
  return /^\d{4}\.\d{1,2}\.\d{1,3}$/.test(version) ? version.split('.').map(Number) : undefined
}
