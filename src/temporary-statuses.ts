/**
 * HTTP statuses of errors that pass by themselves, as a client of a cache behind the edge sees them. 520 to 530 are
 * Cloudflare's own.
 */
export const temporaryStatuses: ReadonlySet<number> = new Set([
  408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 530,
])
