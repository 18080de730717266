/**
 * Calls back once after so many milliseconds, unless the returned function is called before. Keeps no program alive.
 */
export function callLater(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms).unref()
  return () => clearTimeout(timer)
}
