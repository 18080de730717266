import { setImmediate } from 'node:timers/promises'
import { expect, test } from '@jest/globals'

import { createFactsKeeper } from '../../../appliance/tunnel/facts-keeper.ts'
import type { TunnelFacts } from '../../../appliance/tunnel/tunnel.ts'
import { silentLog } from '../../../src/log.ts'
import { TestClock } from './test-clock.ts'

function createKeeper() {
  const clock = new TestClock()
  const written: TunnelFacts[] = []
  const memory = {
    connectors: [],
    async addConnector() {},
    async removeConnector() {},
    async remember(facts: TunnelFacts) {
      written.push(facts)
    },
  }
  return { clock, written, keeper: createFactsKeeper(memory, clock, silentLog) }
}

test('keep writes the first facts at once and what comes after them together', async () => {
  const { clock, written, keeper } = createKeeper()
  keeper.keep({ restarts: 0 })
  keeper.keep({ hostname: 'a.example.com' })
  keeper.keep({ restarts: 1 })
  await setImmediate()
  expect(written).toEqual([{ restarts: 0 }])
  clock.advance(10_000)
  await setImmediate()
  expect(written).toEqual([{ restarts: 0 }, { restarts: 1, hostname: 'a.example.com' }])
  await keeper.end()
  expect(clock.pending).toBe(0)
})

test('keep writes nothing for what is known, or not known at all', async () => {
  const { written, keeper } = createKeeper()
  keeper.keep({ restarts: 0 })
  keeper.keep({ restarts: 0, hostname: undefined })
  await keeper.end()
  expect(written).toHaveLength(1)
})

test('end writes what waits', async () => {
  const { clock, written, keeper } = createKeeper()
  keeper.keep({ restarts: 0 })
  keeper.keep({ restarts: 1 })
  await keeper.end()
  expect(written.at(-1)).toEqual({ restarts: 1 })
  expect(clock.pending).toBe(0)
})
