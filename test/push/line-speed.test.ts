import { expect, test } from '@jest/globals'

import { LineSpeed } from '../../src/push/line-speed.ts'

function lineAt(clock: { ms: number }): LineSpeed {
  return new LineSpeed(() => clock.ms)
}

test('LineSpeed counts the time of requests that overlap once', () => {
  const clock = { ms: 1000 }
  const line = lineAt(clock)
  line.begin()
  line.begin()
  clock.ms += 2000
  line.end(250_000)
  clock.ms += 2000
  line.end(250_000)
  expect(line.bitsPerSecond).toBe(1_000_000)
})

test('LineSpeed leaves out the time between requests', () => {
  const clock = { ms: 0 }
  const line = lineAt(clock)
  for (let request = 0; request < 2; request++) {
    line.begin()
    clock.ms += 1000
    line.end(125_000)
    clock.ms += 60_000
  }
  expect(line.bitsPerSecond).toBe(1_000_000)
})

test('LineSpeed knows nothing after less than two seconds', () => {
  const clock = { ms: 0 }
  const line = lineAt(clock)
  line.begin()
  clock.ms += 1999
  line.end(1)
  expect(line.bitsPerSecond).toBeUndefined()
})
