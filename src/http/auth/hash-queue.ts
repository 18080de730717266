/**
 * The queue for argon2id, which takes 64 MiB and a core for each password by design. Logins of networks with a good
 * standing go first, and suspect ones never take all slots, so that guessing cannot keep users from logging in. The
 * login throttle (login-throttle.ts) bounds its length.
 */
import type { Standing } from './login-throttle.ts'

/** Concurrent verifications. */
const slots = 2
/** Of these, for suspect networks: other logins do not wait until a guess has been hashed. */
const slotsForSuspects = 1
const order: readonly Standing[] = ['familiar', 'new', 'suspect']

export interface HashQueue {
  /** Does the work when a slot is free. */
  run<T>(standing: Standing, work: () => Promise<T>): Promise<T>
}

export function createHashQueue(): HashQueue {
  const waiting: Readonly<Record<Standing, Set<() => void>>> = {
    familiar: new Set(),
    new: new Set(),
    suspect: new Set(),
  }
  let running = 0
  let suspects = 0

  const mayStart = (standing: Standing) => running < slots && (standing !== 'suspect' || suspects < slotsForSuspects)

  function startNext(): void {
    for (const standing of order) {
      const queue = [...waiting[standing]]
      // New networks are served last in, first out: when guesses arrive from a hundred of them at once, the next client
      // does not wait for a hundred hashes.
      for (const start of standing === 'new' ? queue.reverse() : queue) {
        if (!mayStart(standing)) break
        waiting[standing].delete(start)
        take(standing)
        start()
      }
    }
  }

  function take(standing: Standing): void {
    running++
    if (standing === 'suspect') suspects++
  }

  return {
    async run(standing, work) {
      if (mayStart(standing)) take(standing)
      else await new Promise<void>((resolve) => waiting[standing].add(resolve))
      try {
        return await work()
      } finally {
        running--
        if (standing === 'suspect') suspects--
        startNext()
      }
    },
  }
}
