import { expect, test } from '@jest/globals'

import { stopBudgets, stopMs } from '../../appliance/budgets.ts'

test('a stop takes less time than systemd grants before it kills (90 s)', () => {
  expect(stopMs).toBe(Object.values(stopBudgets).reduce((sum, part) => sum + part, 0))
  expect(stopMs).toBeLessThanOrEqual(80_000)
})
