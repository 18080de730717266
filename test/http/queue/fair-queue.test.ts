import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { createFairQueue, type FairQueue, type Leave } from '../../../src/http/queue/fair-queue.ts'

/** A place at once: a test that has to wait for it has failed. */
function enter(queue: FairQueue, key: string): Leave {
  const leave = queue.enter(key)
  if (leave === undefined) throw new Error(`no place for ${key}`)
  return leave
}

/** Does the work when a slot is free, however long that takes. Undefined when the queue is full. */
async function runQueued<T>(queue: FairQueue, key: string, work: () => Promise<T>): Promise<T | undefined> {
  const leave = queue.enter(key) ?? (await queue.wait(key)?.admitted)
  if (leave === undefined) return undefined
  try {
    return await work()
  } finally {
    leave()
  }
}

/** Promises settle before this does. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('createFairQueue', () => {
  test('serves the keys in turn, so that a full queue holds up nobody else', async () => {
    const queue = createFairQueue({ slots: 1 })
    const order: string[] = []
    const work = (key: string, name: string) => runQueued(queue, key, async () => void order.push(name))
    await Promise.all([
      work('a', 'a1'),
      work('a', 'a2'),
      work('a', 'a3'),
      work('b', 'b1'),
      work('c', 'c1'),
      work('b', 'b2'),
    ])
    expect(order).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2'])
  })

  test('lets no more through at once than it has slots, and goes on after a failure', async () => {
    const queue = createFairQueue({ slots: 2 })
    let underWay = 0
    let most = 0
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, (_, at) =>
        runQueued(queue, String(at % 3), async () => {
          most = Math.max(most, ++underWay)
          await Promise.resolve()
          underWay--
          if (at === 4) throw new Error('failed')
        }),
      ),
    )
    expect(most).toBe(2)
    expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(1)
    expect(queue.underWay).toBe(0)
  })

  test('gives one key no more than its share, so that newcomers find slots, the last of them as well', () => {
    const queue = createFairQueue({ slots: 100, share: 3 })
    const take = (key: string) => {
      let taken = 0
      while (queue.enter(key) !== undefined) taken++
      return taken
    }
    expect(take('greedy')).toBe(75)
    for (const newcomer of ['second', 'third', 'fourth']) expect(take(newcomer)).toBeGreaterThan(0)
  })

  test('as places come back, greedy keys come to equal shares, whoever was first', async () => {
    const queue = createFairQueue({ slots: 70, share: 3 })
    const inside: Record<string, Leave[]> = { first: [], second: [] }
    const fill = (key: string) => {
      for (let leave = queue.enter(key); leave !== undefined; leave = queue.enter(key)) inside[key]!.push(leave)
    }
    fill('first')
    for (let round = 0; round < 70; round++) {
      inside.first!.shift()?.()
      fill('second')
      fill('first')
    }
    const [first, second] = [inside.first!.length, inside.second!.length]
    expect(first).toBeLessThanOrEqual(31)
    expect(Math.abs(first - second)).toBeLessThanOrEqual(1)
  })

  test('one who waits for his share to grow holds up nobody who has less', async () => {
    const queue = createFairQueue({ slots: 4, share: 3 })
    const leaves = [enter(queue, 'greedy'), enter(queue, 'greedy'), enter(queue, 'greedy')]
    expect(queue.enter('greedy')).toBeUndefined()
    const waiting = queue.wait('greedy')!
    const leaveModest = enter(queue, 'modest')
    leaveModest()
    await settled()
    expect(queue.waiting).toBe(1)
    leaves[0]!()
    expect(await waiting.admitted).toBeDefined()
  })

  test('a place given back goes to him who waits, not to him who comes', async () => {
    const queue = createFairQueue({ slots: 1 })
    const leave = enter(queue, 'a')
    const waiting = queue.wait('b')!
    leave()
    expect(queue.enter('c')).toBeUndefined()
    expect(await waiting.admitted).toBeDefined()
  })

  test('whoever gives up is out of the queue at once, and takes no place that was for another', async () => {
    const queue = createFairQueue({ slots: 1, maxWaiting: 2 })
    const leave = enter(queue, 'a')
    const [first, second] = [queue.wait('a')!, queue.wait('b')!]
    expect(queue.wait('c')).toBeUndefined()
    first.giveUp()
    first.giveUp()
    expect(await first.admitted).toBeUndefined()
    expect(queue.waiting).toBe(1)
    expect(queue.wait('c')).toBeDefined()
    leave()
    const leaveSecond = await second.admitted
    second.giveUp()
    expect(queue.underWay).toBe(1)
    leaveSecond!()
  })

  test('one key cannot fill the queue for the others', () => {
    const queue = createFairQueue({ slots: 1, maxWaiting: 100, share: 3 })
    enter(queue, 'a')
    while (queue.wait('flood') !== undefined);
    expect(queue.waiting).toBe(75)
    expect(queue.wait('modest')).toBeDefined()
  })

  test('whatever comes and goes, places are neither lost nor made, and nobody waits while he could enter', async () => {
    const step = fc.record({
      do: fc.constantFrom('come', 'leave', 'give up'),
      key: fc.integer({ min: 0, max: 3 }),
      which: fc.nat(20),
    })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 6 }), fc.array(step, { maxLength: 60 }), async (slots, steps) => {
        const queue = createFairQueue({ slots, maxWaiting: 10, share: 2 })
        const inside: Leave[] = []
        const waiting: { giveUp: () => void }[] = []
        for (const { do: what, key, which } of steps) {
          if (what === 'leave') inside.splice(which % Math.max(1, inside.length), 1)[0]?.()
          else if (what === 'give up') waiting.splice(which % Math.max(1, waiting.length), 1)[0]?.giveUp()
          else {
            const leave = queue.enter(String(key))
            const place = leave === undefined ? queue.wait(String(key)) : undefined
            if (leave !== undefined) inside.push(leave)
            if (place !== undefined) waiting.push(place)
            void place?.admitted.then((admitted) => {
              waiting.splice(waiting.indexOf(place), 1)
              if (admitted !== undefined) inside.push(admitted)
            })
          }
          await settled()
          expect(queue.underWay).toBe(inside.length)
          expect(queue.underWay).toBeLessThanOrEqual(slots)
          expect(queue.waiting).toBeLessThanOrEqual(10)
          if (queue.underWay === 0) expect(queue.waiting).toBe(0)
        }
        while (inside.length > 0) {
          inside.pop()!()
          await settled()
        }
        expect([queue.underWay, queue.waiting]).toEqual([0, 0])
      }),
      { numRuns: 40 },
    )
  })
})

test('a queue that is full admits nothing', async () => {
  const queue = createFairQueue({ slots: 1, maxWaiting: 0 })
  enter(queue, 'a')
  let isDone = false
  expect(await runQueued(queue, 'b', async () => (isDone = true))).toBeUndefined()
  expect(isDone).toBe(false)
})
