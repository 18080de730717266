import { describe, expect, test } from '@jest/globals'

import { createAccessRules } from '../../../src/http/auth/access-rules.ts'
import { parseHotTarget } from '../../../src/http/target.ts'

const hashPart = '6f90lrmaxn2bybp9ffarwvdipidnqf78'
const narHash = `1${'0'.repeat(51)}`
const hotUrls = [
  `/${hashPart}.narinfo`,
  `/nar/${hashPart}-${narHash}.nar`,
  `/nar/${hashPart}-${narHash}.zstd-3-1.5.7.nar`,
  `/nar/${hashPart}-${narHash}.file-${narHash}.nar`,
  `/nar/${hashPart}-${narHash}.delta-1-3-1.5.7-${hashPart}-${narHash}.nar`,
]

describe.each([true, false])('access rules of a cache that takes pushes: %s', (takesPushes) => {
  const rules = createAccessRules({ takesPushes, hasInvitations: true })

  test.each(hotUrls)('a parsed hot target has the rule of its path: %s', (url) => {
    const target = parseHotTarget(url)
    expect(target).toBeDefined()
    for (const method of ['GET', 'HEAD']) expect(rules.ruleOf(method, url, target)).toBe(rules.ruleOf(method, url))
  })

  test('a pusher may read narinfos and sizes of NARs only where it may push', () => {
    const accessOf = (method: string, url: string) => rules.ruleOf(method, url, parseHotTarget(url)).access
    const [narInfo, nar] = hotUrls as [string, string]
    expect(accessOf('GET', narInfo).includes('push')).toBe(takesPushes)
    expect(accessOf('HEAD', narInfo).includes('push')).toBe(takesPushes)
    expect(accessOf('HEAD', nar).includes('push')).toBe(takesPushes)
    expect(accessOf('GET', nar)).toEqual(['pull'])
  })

  test('a query does not change the rule, and changes need more than pull', () => {
    expect(rules.ruleOf('GET', '/usage?days=7')).toBe(rules.ruleOf('GET', '/usage'))
    for (const method of ['PUT', 'DELETE', 'POST'])
      expect(rules.ruleOf(method, '/x.narinfo').access).toEqual([takesPushes ? 'push' : 'pull'])
    expect(rules.ruleOf('POST', '/users').access).toEqual([])
  })
})
