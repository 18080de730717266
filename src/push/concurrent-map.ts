/**
 * Asynchronous work on the items of a list, so many at a time, with one result for each in their order. The first
 * failure in that order ends it. Work that was started is waited for in every case, since it still uses what its caller
 * holds.
 */
export async function* mapConcurrently<Item, Result>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const started: Promise<Result>[] = []
  let next = 0
  try {
    while (next < items.length || started.length > 0) {
      while (next < items.length && started.length < atOnce) {
        const result = work(items[next++]!)
        // A failure is reported when its turn comes.
        result.catch(() => {})
        started.push(result)
      }
      yield await started.shift()!
    }
  } finally {
    await Promise.allSettled(started)
  }
}
