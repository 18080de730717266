import { expect, test } from '@jest/globals'

import { createTurnstile } from '../../src/http/turnstile.ts'

test('createTurnstile serves the keys in turn, so that a full queue holds up nobody else', async () => {
  const turnstile = createTurnstile(1)
  const order: string[] = []
  const work = (key: string, name: string) => turnstile(key, async () => void order.push(name))
  await Promise.all([work('a', 'a1'), work('a', 'a2'), work('a', 'a3'), work('b', 'b1'), work('c', 'c1'), work('b', 'b2')])
  expect(order).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2'])
})

test('createTurnstile lets no more through at once than it has places, and goes on after a failure', async () => {
  const turnstile = createTurnstile(2)
  let underWay = 0
  let most = 0
  const results = await Promise.allSettled(
    Array.from({ length: 10 }, (_, at) =>
      turnstile(String(at % 3), async () => {
        most = Math.max(most, ++underWay)
        await Promise.resolve()
        underWay--
        if (at === 4) throw new Error('failed')
      }),
    ),
  )
  expect(most).toBe(2)
  expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(1)
})
