import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { createTurnstile, inTurn, type Leave, type Turnstile } from '../../src/http/turnstile.ts'

/** A place at once: a test that has to wait for it has failed. */
function enter(turnstile: Turnstile, key: string): Leave {
  const leave = turnstile.enter(key)
  if (leave === undefined) throw new Error(`no place for ${key}`)
  return leave
}

/** Promises settle before this does. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('createTurnstile', () => {
  test('serves the keys in turn, so that a full queue holds up nobody else', async () => {
    const turnstile = createTurnstile({ places: 1 })
    const order: string[] = []
    const work = (key: string, name: string) => inTurn(turnstile, key, async () => void order.push(name))
    await Promise.all([work('a', 'a1'), work('a', 'a2'), work('a', 'a3'), work('b', 'b1'), work('c', 'c1'), work('b', 'b2')])
    expect(order).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2'])
  })

  test('lets no more through at once than it has places, and goes on after a failure', async () => {
    const turnstile = createTurnstile({ places: 2 })
    let underWay = 0
    let most = 0
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, (_, at) =>
        inTurn(turnstile, String(at % 3), async () => {
          most = Math.max(most, ++underWay)
          await Promise.resolve()
          underWay--
          if (at === 4) throw new Error('failed')
        }),
      ),
    )
    expect(most).toBe(2)
    expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(1)
    expect(turnstile.underWay).toBe(0)
  })

  test('gives one key no more than its share, so that newcomers find places, the last of them as well', () => {
    const turnstile = createTurnstile({ places: 100, share: 3 })
    const take = (key: string) => {
      let taken = 0
      while (turnstile.enter(key) !== undefined) taken++
      return taken
    }
    expect(take('greedy')).toBe(75)
    for (const newcomer of ['second', 'third', 'fourth']) expect(take(newcomer)).toBeGreaterThan(0)
  })

  test('as places come back, greedy keys come to equal shares, whoever was first', async () => {
    const turnstile = createTurnstile({ places: 70, share: 3 })
    const inside: Record<string, Leave[]> = { first: [], second: [] }
    const fill = (key: string) => {
      for (let leave = turnstile.enter(key); leave !== undefined; leave = turnstile.enter(key)) inside[key]!.push(leave)
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
    const turnstile = createTurnstile({ places: 4, share: 3 })
    const leaves = [enter(turnstile, 'greedy'), enter(turnstile, 'greedy'), enter(turnstile, 'greedy')]
    expect(turnstile.enter('greedy')).toBeUndefined()
    const waiting = turnstile.queue('greedy')!
    const leaveModest = enter(turnstile, 'modest')
    leaveModest()
    await settled()
    expect(turnstile.waiting).toBe(1)
    leaves[0]!()
    expect(await waiting.admitted).toBeDefined()
  })

  test('a place given back goes to him who waits, not to him who comes', async () => {
    const turnstile = createTurnstile({ places: 1 })
    const leave = enter(turnstile, 'a')
    const waiting = turnstile.queue('b')!
    leave()
    expect(turnstile.enter('c')).toBeUndefined()
    expect(await waiting.admitted).toBeDefined()
  })

  test('whoever gives up is out of the queue at once, and takes no place that was for another', async () => {
    const turnstile = createTurnstile({ places: 1, maxWaiting: 2 })
    const leave = enter(turnstile, 'a')
    const [first, second] = [turnstile.queue('a')!, turnstile.queue('b')!]
    expect(turnstile.queue('c')).toBeUndefined()
    first.giveUp()
    first.giveUp()
    expect(await first.admitted).toBeUndefined()
    expect(turnstile.waiting).toBe(1)
    expect(turnstile.queue('c')).toBeDefined()
    leave()
    const leaveSecond = await second.admitted
    second.giveUp()
    expect(turnstile.underWay).toBe(1)
    leaveSecond!()
  })

  test('one key cannot fill the queue for the others', () => {
    const turnstile = createTurnstile({ places: 1, maxWaiting: 100, share: 3 })
    enter(turnstile, 'a')
    while (turnstile.queue('flood') !== undefined);
    expect(turnstile.waiting).toBe(75)
    expect(turnstile.queue('modest')).toBeDefined()
  })

  test('whatever comes and goes, places are neither lost nor made, and nobody waits while he could enter', async () => {
    const step = fc.record({ do: fc.constantFrom('come', 'leave', 'give up'), key: fc.integer({ min: 0, max: 3 }), which: fc.nat(20) })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 6 }), fc.array(step, { maxLength: 60 }), async (places, steps) => {
        const turnstile = createTurnstile({ places, maxWaiting: 10, share: 2 })
        const inside: Leave[] = []
        const waiting: { giveUp: () => void }[] = []
        for (const { do: what, key, which } of steps) {
          if (what === 'leave') inside.splice(which % Math.max(1, inside.length), 1)[0]?.()
          else if (what === 'give up') waiting.splice(which % Math.max(1, waiting.length), 1)[0]?.giveUp()
          else {
            const leave = turnstile.enter(String(key))
            const place = leave === undefined ? turnstile.queue(String(key)) : undefined
            if (leave !== undefined) inside.push(leave)
            if (place !== undefined) waiting.push(place)
            void place?.admitted.then((admitted) => {
              waiting.splice(waiting.indexOf(place), 1)
              if (admitted !== undefined) inside.push(admitted)
            })
          }
          await settled()
          expect(turnstile.underWay).toBe(inside.length)
          expect(turnstile.underWay).toBeLessThanOrEqual(places)
          expect(turnstile.waiting).toBeLessThanOrEqual(10)
          if (turnstile.underWay === 0) expect(turnstile.waiting).toBe(0)
        }
        while (inside.length > 0) {
          inside.pop()!()
          await settled()
        }
        expect([turnstile.underWay, turnstile.waiting]).toEqual([0, 0])
      }),
      { numRuns: 40 },
    )
  })
})

test('inTurn does no work when the queue is full', async () => {
  const turnstile = createTurnstile({ places: 1, maxWaiting: 0 })
  enter(turnstile, 'a')
  let isDone = false
  expect(await inTurn(turnstile, 'b', async () => (isDone = true))).toBeUndefined()
  expect(isDone).toBe(false)
})
