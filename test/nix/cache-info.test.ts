import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { formatCacheInfo, parseCacheInfo } from '../../src/nix/cache-info.ts'

describe('formatCacheInfo', () => {
  test('formatCacheInfo writes three lines', () => {
    expect(formatCacheInfo({ storeDir: '/nix/store', wantMassQuery: true, priority: 30 })).toBe(
      'StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n',
    )
  })

  test('parseCacheInfo reads back what formatCacheInfo writes', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.integer({ min: -1000, max: 1000 }), (wantMassQuery, priority) => {
        const info = { storeDir: '/nix/store', wantMassQuery, priority }
        expect(parseCacheInfo(formatCacheInfo(info))).toEqual(info)
      }),
    )
  })
})

describe('parseCacheInfo', () => {
  test('parseCacheInfo accepts CRLF, missing spaces, unknown keys and an HTML page', () => {
    expect(parseCacheInfo('StoreDir:/nix/store\r\nWantMassQuery:  1 \r\nFoo: bar\r\nno colon\r\nPriority: 41')).toEqual(
      {
        storeDir: '/nix/store',
        wantMassQuery: true,
        priority: 41,
      },
    )
    expect(parseCacheInfo('<html>Hello: there</html>')).toEqual({
      storeDir: undefined,
      wantMassQuery: false,
      priority: 0,
    })
  })

  test('parseCacheInfo reads only "1" as WantMassQuery', () => {
    expect(parseCacheInfo('WantMassQuery: true\n')?.wantMassQuery).toBe(false)
  })

  test('parseCacheInfo rejects a priority that is not a number', () => {
    expect(parseCacheInfo('Priority: high\n')).toBeUndefined()
    expect(parseCacheInfo('Priority:\n')).toBeUndefined()
  })

  test('parseCacheInfo never throws', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseCacheInfo(text)))
  })
})
