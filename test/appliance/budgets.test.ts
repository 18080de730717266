import { readFile } from 'node:fs/promises'
import { expect, test } from '@jest/globals'

import { stopBudgets, stopMs } from '../../appliance/server/stop-budgets.ts'

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')

test('a stop takes less time than systemd grants before it kills (90 s)', () => {
  expect(stopMs).toBe(Object.values(stopBudgets).reduce((sum, part) => sum + part, 0))
  expect(stopMs).toBeLessThanOrEqual(80_000)
})

test('the unit and its page tell the parts of a stop as the table has them', async () => {
  const { tunnelGraceMs, tunnelMarginMs, drainMs, closeMs } = stopBudgets
  const unit = await read('appliance/systemd/burrow.service')
  const seconds = (ms: number) => `${ms / 1000} s`
  expect(unit).toContain(
    `${seconds(tunnelGraceMs + tunnelMarginMs)} for the tunnel, ${seconds(drainMs)} for running requests, ${seconds(closeMs)} to close`,
  )
  const granted = Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1])
  expect(granted * 1000).toBeGreaterThanOrEqual(stopMs + 10_000)
  expect(await read('docs/systemd.md')).toContain(`at most ${seconds(stopMs)} in all; systemd grants ${granted} (`)
})
