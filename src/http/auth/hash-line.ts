/**
 * The line in front of argon2id, which takes 64 MiB and a core for each password by design. So that guessing does not
 * become the means to keep others out, logins of networks with a good name go first, and suspect ones never take all
 * places. Its length is bounded by the places of login-throttle.ts.
 */
import type { Standing } from './login-throttle.ts'

/** Verifications at once. */
const places = 2
/** Of these for suspects: whoever else comes waits for no guess to be hashed. */
const forSuspects = 1
const order: readonly Standing[] = ['familiar', 'new', 'suspect']

export interface HashLine {
  /** Does the work when it is its turn. */
  run<T>(standing: Standing, work: () => Promise<T>): Promise<T>
}

export function createHashLine(): HashLine {
  const waiting: Readonly<Record<Standing, Set<() => void>>> = {
    familiar: new Set(),
    new: new Set(),
    suspect: new Set(),
  }
  let underWay = 0
  let suspects = 0

  const mayStart = (standing: Standing) => underWay < places && (standing !== 'suspect' || suspects < forSuspects)

  function startNext(): void {
    for (const standing of order) {
      const line = [...waiting[standing]]
      // New networks last in, first out: when guessers come from a hundred of them at once, whoever comes next does not
      // wait for a hundred hashes.
      for (const start of standing === 'new' ? line.reverse() : line) {
        if (!mayStart(standing)) break
        waiting[standing].delete(start)
        take(standing)
        start()
      }
    }
  }

  function take(standing: Standing): void {
    underWay++
    if (standing === 'suspect') suspects++
  }

  return {
    async run(standing, work) {
      if (mayStart(standing)) take(standing)
      else await new Promise<void>((resolve) => waiting[standing].add(resolve))
      try {
        return await work()
      } finally {
        underWay--
        if (standing === 'suspect') suspects--
        startNext()
      }
    },
  }
}
