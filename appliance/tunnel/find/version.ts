/** Versions of cloudflared: a date, `2025.7.0`; builds of one's own say `DEV`. */

/** Older ones lack what Burrow asks for (JSON logs, tokens from files) and are no longer supported by Cloudflare. */
export const leastVersion = '2025.7.0'

/** Both rewrote the paths of requests, and Cloudflare withdrew them. */
const withdrawnVersions: ReadonlySet<string> = new Set(['2026.8.0', '2026.8.1'])

/**
 * What is wrong with a version, to follow its number; `undefined`: nothing, or it is a build of one's own. `now` as of
 * `Date.now()`.
 */
export function findVersionFault(version: string, now: number): string | undefined {
  if (isOlder(version, leastVersion)) return `is too old: Burrow wants ${leastVersion} or newer`
  if (withdrawnVersions.has(version)) return 'was withdrawn by Cloudflare, since it changes the paths of requests'
  if (isOlderThanYear(version, now))
    return 'is more than a year old: Cloudflare supports none as old as that, and faults in it stay'
  return undefined
}

/** By year and month of its number. */
function isOlderThanYear(version: string, now: number): boolean {
  const [year, month] = numbersOf(version) ?? []
  if (year === undefined || month === undefined) return false
  const today = new Date(now)
  return year * 12 + (month - 1) < today.getUTCFullYear() * 12 + today.getUTCMonth() - 12
}

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
