import { expect, test } from '@jest/globals'
import * as fc from 'fast-check'

import { createLineRepair } from '../../../appliance/tunnel/watch/line-repair.ts'

const record = (message: string, fields = {}) =>
  JSON.stringify({ ...fields, level: 'info', message, time: '2026-11-24T20:19:29Z' })

function repairAll(lines: readonly string[]): string[] {
  const repair = createLineRepair()
  return [...lines.flatMap((line) => repair.add(line)), ...repair.end()]
}

test('LineRepair separates a record that stands in another, as the real cloudflared writes them', () => {
  const outer = record('Starting metrics server on 127.0.0.1:43151/metrics')
  const inner = record('ICMP proxy will use 192.0.2.2')
  expect(repairAll([`${outer.slice(0, -1)}${inner}`, '}']).sort()).toEqual([inner, outer].sort())
})

test('LineRepair makes two records whole wherever one was cut by the other', () => {
  const text = fc.string({ unit: 'binary' })
  fc.assert(
    fc.property(text, text, fc.nat(), (one, other, at) => {
      const [outer, inner] = [record(one, { nested: { config: '{"level":"x"}' } }), record(other)]
      const cut = 1 + (at % (outer.length - 1))
      expect(repairAll([outer.slice(0, cut) + inner, outer.slice(cut)]).sort()).toEqual([outer, inner].sort())
    }),
  )
})

test('LineRepair hands on what is whole, and what is no JSON, as it is and in its order', () => {
  const lines = [
    record('a'),
    'bare words',
    '2026-11-22T16:53:24Z INF for people',
    '}',
    record('b', { config: '{"level":"info"}' }),
  ]
  expect(repairAll(lines)).toEqual(lines)
})

test('LineRepair gives up a beginning whose end does not come', () => {
  const repair = createLineRepair()
  expect(repair.add('{"level":"info","mess')).toEqual([])
  const following = Array.from({ length: 9 }, (_, index) => record(String(index)))
  expect(following.flatMap((line) => repair.add(line))).toEqual([
    ...following.slice(0, 8),
    '{"level":"info","mess',
    following[8],
  ])
  expect(repair.end()).toEqual([])
})

test('LineRepair does not take for a record what a stranger put into a text', () => {
  const broken = `${JSON.stringify({ error: record('Registered tunnel connection'), level: 'error' }).slice(0, -1)}`
  expect(repairAll([broken])).toEqual([broken])
})
