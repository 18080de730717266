import { describe, expect, test } from '@jest/globals'

import { listOtherHostnames, withHostname, withoutHostname } from '../../../appliance/cloudflare/ingress.ts'

const service = 'http://127.0.0.1:8080'
const hostname = 'cache.example.org'
const ours = { hostname, service }
const last = { service: 'http_status:404' }

describe('withHostname', () => {
  test('withHostname makes the rule and the one that matches everything', () => {
    expect(withHostname([], hostname, service)).toEqual({ rules: [ours, last], before: undefined, isChanged: true })
  })

  test('withHostname leaves what is right', () => {
    const rules = [
      { hostname: 'git.example.org', service: 'http://127.0.0.1:3000' },
      { ...ours, originRequest: { connectTimeout: 5 } },
      last,
    ]
    expect(withHostname(rules, hostname, service)).toEqual({ rules, before: service, isChanged: false })
  })

  test('withHostname changes the service alone, and nothing of others', () => {
    const git = {
      hostname: 'git.example.org',
      service: 'ssh://127.0.0.1:22',
      originRequest: { noTLSVerify: true },
      future: 1,
    }
    const before = {
      hostname: 'Cache.example.org',
      service: 'http://127.0.0.1:9',
      originRequest: { keepAliveTimeout: 90 },
    }
    const { rules, before: service9 } = withHostname([git, before, last], hostname, service)
    expect(service9).toBe('http://127.0.0.1:9')
    expect(rules).toEqual([git, { ...before, hostname, service }, last])
  })

  test.each(['*.example.org', '*', ''])(
    'withHostname goes before a rule for %j that would take its requests',
    (pattern) => {
      const wide = { hostname: pattern, service: 'http://127.0.0.1:1' }
      const { rules } = withHostname([wide, ours, last], hostname, service)
      expect(rules[0]).toEqual(ours)
      expect(rules).toContain(wide)
      expect(rules).toHaveLength(3)
    },
  )

  test('withHostname leaves rules for paths and other host names where they are', () => {
    const path = { hostname, path: '^/hook', service: 'http://127.0.0.1:2' }
    const other = { hostname: 'notcache.example.org', service: 'http://127.0.0.1:3' }
    expect(withHostname([path, other, last], hostname, service).rules).toEqual([path, other, ours, last])
    expect(withHostname([path, other], hostname, service).rules).toEqual([path, other, ours, last])
  })
})

describe('withoutHostname', () => {
  test('withoutHostname takes one rule away', () => {
    const git = { hostname: 'git.example.org', service: 'http://127.0.0.1:3000' }
    expect(withoutHostname([git, ours, last], hostname)).toEqual([git, last])
    expect(withoutHostname([git, last], hostname)).toEqual([git, last])
    expect(listOtherHostnames([git, ours, last], hostname)).toEqual(['git.example.org'])
  })
})
