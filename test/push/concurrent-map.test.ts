import { describe, expect, test } from '@jest/globals'

import { mapConcurrently } from '../../src/push/concurrent-map.ts'

/** Work that ends when the test says so. */
function heldWork() {
  const started: number[] = []
  const ends = new Map<number, PromiseWithResolvers<string>>()
  const work = (item: number): Promise<string> => {
    started.push(item)
    const end = Promise.withResolvers<string>()
    ends.set(item, end)
    return end.promise
  }
  return { started, work, end: (item: number) => ends.get(item)!.resolve(`result ${item}`), ends }
}

describe('mapConcurrently', () => {
  test('yields the results in the order of the items, whichever is ready first', async () => {
    const held = heldWork()
    const results = mapConcurrently([1, 2, 3], 3, held.work)
    const first = results.next()
    expect(held.started).toEqual([1, 2, 3])
    held.end(3)
    held.end(2)
    held.end(1)
    expect((await first).value).toBe('result 1')
    expect((await results.next()).value).toBe('result 2')
    expect((await results.next()).value).toBe('result 3')
    expect((await results.next()).done).toBe(true)
  })

  test('works on no more items at once than it may', async () => {
    const held = heldWork()
    const results = mapConcurrently([1, 2, 3, 4], 2, held.work)
    const first = results.next()
    expect(held.started).toEqual([1, 2])
    held.end(1)
    await first
    void results.next()
    expect(held.started).toEqual([1, 2, 3])
    for (const item of [2, 3]) held.end(item)
    await results.return(undefined)
  })

  test('reports a failure in its order, and only when what was started has ended', async () => {
    const held = heldWork()
    const results = mapConcurrently([1, 2, 3], 3, held.work)
    const first = results.next()
    held.ends.get(2)!.reject(new Error('second'))
    held.end(1)
    expect((await first).value).toBe('result 1')
    let hasFailed = false
    const second = results.next().catch((error: Error) => {
      hasFailed = true
      return error.message
    })
    await new Promise(setImmediate)
    expect(hasFailed).toBe(false)
    held.end(3)
    expect(await second).toBe('second')
  })

  test('does nothing for an empty list', async () => {
    const results = mapConcurrently([], 2, () => Promise.reject(new Error('called')))
    expect((await results.next()).done).toBe(true)
  })
})
