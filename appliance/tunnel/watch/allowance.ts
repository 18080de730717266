/**
 * So many at once, and so many a second after that (a token bucket). A clock that is set back gives nothing and takes
 * nothing.
 */
export function createAllowance(
  { burst, perSecond }: { burst: number; perSecond: number },
  now: () => number,
): () => boolean {
  let left = burst
  let filledAt = now()
  return () => {
    const at = now()
    left = Math.min(burst, left + (Math.max(0, at - filledAt) / 1000) * perSecond)
    filledAt = at
    if (left < 1) return false
    left -= 1
    return true
  }
}
