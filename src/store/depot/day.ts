/** Quotas and counts are by the day, in UTC. */
const dayMs = 86_400_000

/** Days since 1970. */
export function dayOf(ms: number): number {
  return Math.floor(ms / dayMs)
}

export function startOfDay(ms: number): number {
  return dayOf(ms) * dayMs
}
