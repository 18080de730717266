/**
 * What a form has done, kept until the page that follows it has shown it: the page is loaded by GET, so that a reload does
 * not repeat the change. Passwords and links are shown once, to the user who asked for them.
 */
import { randomBytes } from 'node:crypto'

export interface Once<Value> {
  /** Returns the name under which the user can take it. */
  put(user: string, value: Value): string
  take(user: string, name: string): Value | undefined
}

const keepMs = 300_000
const maxKept = 200

/** `now`: milliseconds of any clock. */
export function createOnce<Value>(now: () => number): Once<Value> {
  const kept = new Map<string, { readonly user: string; readonly value: Value; readonly untilMs: number }>()
  return {
    put(user, value) {
      for (const [name, { untilMs }] of kept) {
        if (untilMs > now() && kept.size < maxKept) break
        kept.delete(name)
      }
      const name = randomBytes(16).toString('base64url')
      kept.set(name, { user, value, untilMs: now() + keepMs })
      return name
    },
    take(user, name) {
      const found = kept.get(name)
      if (found === undefined || found.user !== user) return undefined
      kept.delete(name)
      return found.untilMs > now() ? found.value : undefined
    },
  }
}
