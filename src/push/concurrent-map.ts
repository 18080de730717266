/**
 * Does asynchronous work on the items of a list with limited concurrency, and yields the results in the order of the items.
 * Ends with the first failure in that order. Always waits for work that was started, because it may still use resources
 * that the caller releases afterwards.
 */
export async function* mapConcurrently<Item, Result>(
  items: readonly Item[],
  concurrency: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const started: Promise<Result>[] = []
  let next = 0
  try {
    while (next < items.length || started.length > 0) {
      while (next < items.length && started.length < concurrency) {
        const result = work(items[next++]!)
        // A failure is reported when the result is awaited.
        result.catch(() => {})
        started.push(result)
      }
      yield await started.shift()!
    }
  } finally {
    await Promise.allSettled(started)
  }
}
