import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { formatNarUrl, parseHotTarget } from '../../src/http/target.ts'

const hashPart = 'iah2ssqwr7r48743cbcv36fnp35mfpms'
const narHash = '15f0xn6y2305zz0lfk8k4mgba6qy03qljmssxzgak736rn4a2yja'

describe('parseHotTarget', () => {
  test('knows a narinfo', () => {
    expect(parseHotTarget(`/${hashPart}.narinfo`)).toEqual({ route: 'narinfo', hashPart })
  })

  test('knows every URL that formatNarUrl makes', () => {
    for (const recipe of [undefined, 'zstd-3-1.5.7', 'zstd-19-1.6.0']) {
      expect(parseHotTarget(`/${formatNarUrl(hashPart, `sha256:${narHash}`, recipe)}`)).toEqual({
        route: 'nar',
        hashPart,
        narHash,
        recipe,
      })
    }
  })

  test.each([
    '/',
    '',
    `/${hashPart}.narinfo?json`,
    `/${hashPart}.narinfo/`,
    `//${hashPart}.narinfo`,
    `/${hashPart.toUpperCase()}.narinfo`,
    `/${hashPart.replace('i', 'e')}.narinfo`,
    `/${hashPart.slice(1)}.narinfo`,
    `/${hashPart}a.narinfo`,
    `/${hashPart}.narinfo\n`,
    `/${hashPart}\0.narinfo`,
    `/nar/../${hashPart}.narinfo`,
    `/nar/${hashPart}-${narHash}`,
    `/nar/${hashPart}-${narHash}.nar.zst`,
    `/nar/${hashPart}-2${narHash.slice(1)}.nar`,
    `/nar/${hashPart}-${narHash}..nar`,
    `/nar/${hashPart}-${narHash}.zstd-3/../x.nar`,
    `/nar/${hashPart}.nar`,
    `http://x/${hashPart}.narinfo`,
  ])('leaves %j to the other routes', (path) => {
    expect(parseHotTarget(path)).toBeUndefined()
  })

  test('never throws', () => {
    fc.assert(fc.property(fc.string(), (path) => void parseHotTarget(path)))
  })
})

test('formatNarUrl ends in .nar and needs no escaping', () => {
  expect(formatNarUrl(hashPart, `sha256:${narHash}`, 'zstd-3-1.5.7')).toMatch(/^nar\/[0-9a-z.-]+\.nar$/)
})
