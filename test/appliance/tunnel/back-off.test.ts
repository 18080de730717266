import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createBackOff, paces } from '../../../appliance/tunnel/back-off.ts'
import { createAllowance } from '../../../appliance/tunnel/watch/allowance.ts'

test('createBackOff doubles up to its limit', () => {
  const backOff = createBackOff(paces.soon, () => 0.999_999)
  expect(Array.from({ length: 8 }, () => backOff.next())).toEqual([
    1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000,
  ])
})

test('createBackOff waits at least half of its time, whatever chance says', () => {
  const backOff = createBackOff(paces.rarely, () => 0)
  expect(Array.from({ length: 6 }, () => backOff.next())).toEqual([
    150_000, 300_000, 600_000, 1_200_000, 1_800_000, 1_800_000,
  ])
})

test('createBackOff begins anew after a reset', () => {
  const backOff = createBackOff(paces.soon, () => 0)
  backOff.next()
  backOff.next()
  backOff.reset()
  expect(backOff.next()).toBe(500)
})

test('createBackOff stays within its limits after any number of failures', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2000 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (failures, chance) => {
        const backOff = createBackOff(paces.soon, () => chance)
        let last = 0
        for (let failure = 0; failure < failures; failure++) last = backOff.next()
        expect(last).toBeGreaterThanOrEqual(500)
        expect(last).toBeLessThanOrEqual(60_000)
      },
    ),
  )
})

test('createAllowance gives a burst, then so many a second, and nothing for a clock set back', () => {
  let now = 0
  const mayGo = createAllowance({ burst: 3, perSecond: 2 }, () => now)
  const taken = () => Array.from({ length: 10 }, mayGo).filter(Boolean).length
  expect(taken()).toBe(3)
  now = 1000
  expect(taken()).toBe(2)
  now = -1_000_000
  expect(taken()).toBe(0)
  now = 0
  expect(taken()).toBe(3)
})
