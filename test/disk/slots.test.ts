import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { largestSlot, Slots, smallestSlot } from '../../src/disk/slots.ts'

const memoryBytes = 4 * largestSlot

test('Slots gives out no byte twice, and all of the memory again when everything came back', () => {
  const step = fc.oneof(fc.record({ take: fc.integer({ min: 1, max: largestSlot }) }), fc.record({ give: fc.nat() }))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const slots = new Slots(memoryBytes)
      const taken: { at: number; size: number }[] = []
      for (const wanted of steps) {
        if ('give' in wanted) {
          const [slot] = taken.splice(wanted.give % (taken.length || 1), 1)
          if (slot) slots.give(slot.at)
          continue
        }
        const at = slots.take(wanted.take)
        if (at === undefined) continue
        const size = slots.sizeOf(at)
        expect(size).toBeGreaterThanOrEqual(wanted.take)
        expect(at + size).toBeLessThanOrEqual(memoryBytes)
        for (const other of taken) expect(at + size <= other.at || other.at + other.size <= at).toBe(true)
        taken.push({ at, size })
      }
      for (const { at } of taken) slots.give(at)
      const all = Array.from({ length: memoryBytes / largestSlot }, () => slots.take(largestSlot))
      expect(new Set(all).size).toBe(all.length)
      expect(all).not.toContain(undefined)
      expect(slots.take(1)).toBeUndefined()
    }),
  )
})

test('Slots touches new memory only when what was used before is taken', () => {
  const slots = new Slots(memoryBytes)
  for (let i = 0; i < 100; i++) {
    const at = slots.take(smallestSlot)!
    expect(at).toBeLessThan(largestSlot)
    slots.give(at)
  }
})
