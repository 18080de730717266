/** For answers that are wanted only if they are there at once: what takes time is not waited for, and may fail. */
export function ignoreLate<T>(found: T | Promise<T>): T | undefined {
  if (!(found instanceof Promise)) return found
  found.catch(() => {})
  return undefined
}
