import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { layOut } from '../../../src/http/pages/path/tree-map.ts'

const sizes = fc
  .array(fc.integer({ min: 1, max: 10 ** 7 }), { minLength: 1, maxLength: 40 })
  .map((all) => all.sort((left, right) => right - left))

describe('layOut', () => {
  test('gives each size its share of the area, inside of the frame, without overlap', () => {
    fc.assert(
      fc.property(sizes, (all) => {
        const rectangles = layOut(all, 900, 280)
        const sum = all.reduce((total, size) => total + size, 0)
        for (const [index, { x, y, width, height }] of rectangles.entries()) {
          expect(Math.abs(width * height - (900 * 280 * all[index]!) / sum)).toBeLessThan(0.01)
          expect(Math.min(x, y)).toBeGreaterThanOrEqual(-0.01)
          expect(x + width).toBeLessThanOrEqual(900 + 0.01)
          expect(y + height).toBeLessThanOrEqual(280 + 0.01)
          for (const other of rectangles.slice(index + 1)) {
            const overlapX = Math.min(x + width, other.x + other.width) - Math.max(x, other.x)
            const overlapY = Math.min(y + height, other.y + other.height) - Math.max(y, other.y)
            expect(Math.min(overlapX, overlapY)).toBeLessThanOrEqual(0.01)
          }
        }
      }),
    )
  })

  test('keeps equal sizes nearly square', () => {
    for (const { width, height } of layOut(Array<number>(12).fill(1), 400, 300))
      expect(Math.max(width / height, height / width)).toBeLessThan(1.5)
  })
})
