/** Charts as pure functions: whatever the figures are, what is drawn is inside its box, and nothing is lost. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { barOf, bars } from '../../../../src/http/pages/charts/bars.ts'
import { type Column, columnsChart } from '../../../../src/http/pages/charts/columns.ts'
import { scaleFor } from '../../../../src/http/pages/charts/scale.ts'
import { stripChart } from '../../../../src/http/pages/charts/strip.ts'

/** Also what a damaged file could hold. */
const figure = fc.oneof(
  fc.nat(),
  fc.double({ min: 0, max: 2 ** 55 }),
  fc.constantFrom(0, -1, Number.NaN, Number.POSITIVE_INFINITY, Number.MAX_VALUE),
)
const hostile = fc.oneof(fc.string(), fc.constantFrom('<script>alert(1)</script>', '"><img src=x>', "' onload='x"))
const colours = [1, 2, 3, 4, 5] as const

function chartOf(
  values: readonly (readonly number[])[],
  labels: readonly string[] = [],
  unit: 'bytes' | 'count' = 'bytes',
) {
  const width = Math.max(1, ...values.map((column) => column.length))
  const series = Array.from({ length: width }, (_, at) => ({ label: labels[at] ?? `s${at}`, colour: colours[at]! }))
  const columns: Column[] = values.map((column, at) => ({ label: `c${at}`, values: column, hint: labels[at] ?? '' }))
  return columnsChart({ id: 'x', title: labels[0] ?? 't', description: 'd', unit, series, columns }).toString()
}

/** Rectangles of the paths: from their bottom, and how high. */
function rectangles(markup: string) {
  return [...markup.matchAll(/M([\d.]+) ([\d.]+)v(-?[\d.]+)h([\d.]+)v([\d.]+)z/g)].map(([, x, y, up, width, down]) => ({
    ...{ x: Number(x), bottom: Number(y), height: Number(down), up: Number(up), width: Number(width) },
  }))
}

describe('columnsChart', () => {
  test('whatever the figures are, columns are inside the chart and have a size', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(figure, { maxLength: 5 }), { maxLength: 60 }),
        fc.constantFrom('bytes' as const, 'count' as const),
        (values, unit) => {
          const markup = chartOf(values, [], unit)
          expect(markup).not.toMatch(/NaN|Infinity|undefined|="-[^8]|e[+-]\d/)
          for (const { bottom, height, up, width, x } of rectangles(markup)) {
            expect(height).toBeGreaterThanOrEqual(0)
            expect(up + height).toBe(0)
            expect(width).toBeGreaterThan(0)
            expect(bottom).toBeLessThanOrEqual(180)
            expect(bottom - height).toBeGreaterThanOrEqual(-0.02)
            expect(x).toBeLessThan(values.length * 10)
          }
        },
      ),
    )
  })

  test('heights are in proportion, and parts are on top of each other', () => {
    const found = rectangles(
      chartOf([
        [1024, 2048],
        [512, 0],
      ]),
    )
    const [first, small, second] = found
    // The axis ends at 3 KiB.
    expect(found).toHaveLength(3)
    expect([first!.bottom, first!.height]).toEqual([180, 60])
    expect([second!.bottom, second!.height]).toEqual([120, 120])
    expect([small!.bottom, small!.height]).toEqual([180, 30])
  })

  test('what is not nothing can be seen; nothing is not drawn', () => {
    expect(rectangles(chartOf([[1], [1e9], [0]])).map(({ height }) => height > 0)).toEqual([true, true])
  })

  test.each([
    ['no column', []],
    ['a column of nothing', [[0]]],
    ['one column', [[5]]],
  ])('%s is a chart', (_what, values) => {
    const markup = chartOf(values)
    expect(markup).toContain('role="img"')
    expect(markup).not.toMatch(/NaN|Infinity/)
  })

  test('names do not become markup', () => {
    fc.assert(
      fc.property(hostile, (name) => {
        const markup = chartOf([[1, 2]], [name, name])
        expect(markup).not.toMatch(/<script|<img|onload='/)
        expect(markup.match(/<svg/g)!.length).toBe(markup.match(/<\/svg>/g)!.length)
      }),
    )
  })

  test('few labels, and the last one inside', () => {
    const labels = [...chartOf(Array.from({ length: 400 }, () => [1])).matchAll(/<text x="([\d.]+)%"/g)]
    expect(labels.length).toBeLessThanOrEqual(5)
    for (const [, x] of labels) expect(Number(x)).toBeLessThanOrEqual(100)
  })

  test('a legend only if there are several series', () => {
    expect(chartOf([[1]])).not.toContain('legend')
    expect(chartOf([[1, 1]])).toContain('<ul class="legend"')
  })
})

describe('scaleFor', () => {
  test('begins at zero, has two to six round steps, and its end is not below the largest value', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 2 ** 59, noNaN: true }),
        fc.constantFrom('bytes' as const, 'count' as const),
        (max, unit) => {
          const { top, ticks } = scaleFor(max, unit)
          expect(ticks[0]).toEqual({ value: 0, label: '0' })
          expect(ticks.at(-1)!.value).toBeCloseTo(top, -1)
          expect(top).toBeGreaterThanOrEqual(max * (1 - 1e-9))
          expect(top).toBeLessThanOrEqual(Math.max(3, max * 2.01))
          expect(ticks.length).toBeGreaterThanOrEqual(2)
          expect(ticks.length).toBeLessThanOrEqual(7)
          expect(new Set(ticks.map(({ label }) => label)).size).toBe(ticks.length)
        },
      ),
    )
  })

  test.each([
    [0, 'bytes', ['0', '1 B']],
    [1, 'count', ['0', '1']],
    [1500, 'bytes', ['0', '0.5 KiB', '1 KiB', '1.5 KiB']],
    [5.6 * 2 ** 30, 'bytes', ['0', '2 GiB', '4 GiB', '6 GiB']],
    [900 * 2 ** 20, 'bytes', ['0', '500 MiB', '1000 MiB']],
    [8_000, 'count', ['0', '5 k', '10 k']],
    [4_000, 'count', ['0', '2,000', '4,000']],
    [28_000, 'count', ['0', '10 k', '20 k', '30 k']],
    [3_400_000, 'count', ['0', '2 M', '4 M']],
  ] as const)('of %d %s', (max, unit, labels) => {
    expect(scaleFor(max, unit).ticks.map(({ label }) => label)).toEqual(labels)
  })
})

describe('bars', () => {
  test('whatever the figures are, the longest is whole and none is negative', () => {
    fc.assert(
      fc.property(fc.array(figure, { minLength: 1, maxLength: 10 }), (values) => {
        const markup = bars(values.map((value) => ({ label: 'x', value, text: 'y', colour: 1 as const }))).toString()
        const widths = [...markup.matchAll(/fill-1" width="([^"]+)"/g)].map(([, width]) => Number(width))
        expect(widths).toHaveLength(values.length)
        for (const width of widths) expect(width >= 0 && width <= 100).toBe(true)
        if (values.some((value) => value > 0)) expect(Math.max(...widths)).toBe(100)
      }),
    )
  })

  test('a bar that is longer than its box is as long as its box', () => {
    expect(barOf(5, 1).toString()).toContain('width="100"')
    expect(barOf(0, 0).toString()).toContain('width="0"')
    expect(barOf(1, 1e9).toString()).toContain('width="0.5"')
  })
})

describe('stripChart', () => {
  test('whatever the times are, marks are inside the strip and can be seen', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer(), fc.integer()), { maxLength: 20 }),
        fc.integer(),
        fc.integer(),
        (times, from, until) => {
          const marks = times.map(([start, end]) => ({ from: start, until: end, hint: '<b>' }))
          const markup = stripChart({
            id: 'x',
            title: 't',
            description: 'd',
            from,
            until,
            ends: ['a', 'b'],
            marks,
          }).toString()
          expect(markup).not.toMatch(/NaN|Infinity|<b>/)
          for (const [, x, width] of markup.matchAll(/strip-mark" x="([^%]+)%" width="([^%]+)%"/g)) {
            expect(Number(x)).toBeGreaterThanOrEqual(0)
            expect(Number(width)).toBeGreaterThanOrEqual(0.4)
            expect(Number(x) + Number(width)).toBeLessThanOrEqual(100.02)
          }
        },
      ),
    )
  })
})
