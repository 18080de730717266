/**
 * Lets so much work through at once. The rest waits in a queue for each key, and the queues are served in turn: whoever fills his own holds up the others by one piece of
 * work a round.
 */
export type Turnstile = <T>(key: string, work: () => Promise<T>) => Promise<T>

export function createTurnstile(places: number): Turnstile {
  const queues = new Map<string, (() => void)[]>()
  let free = places

  function admitNext(): void {
    for (const [key, queue] of queues) {
      // To the end of the round.
      queues.delete(key)
      const next = queue.shift()!
      if (queue.length > 0) queues.set(key, queue)
      next()
      return
    }
    free++
  }

  function wait(key: string): Promise<void> {
    return new Promise((resolve) => {
      const queue = queues.get(key)
      if (queue === undefined) queues.set(key, [resolve])
      else queue.push(resolve)
    })
  }

  return async (key, work) => {
    if (free > 0) free--
    else await wait(key)
    try {
      return await work()
    } finally {
      admitNext()
    }
  }
}
