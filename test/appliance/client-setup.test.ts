import { describe, expect, test } from '@jest/globals'

import { formatClientSetup, formatPushSetup, parseCacheUrl } from '../../appliance/terminal/client-setup.ts'

const setup = {
  url: 'http://127.0.0.1:8080',
  storeDir: '/nix/store',
  publicKeys: ['a-1:AAA=', 'b-1:BBB='],
  login: { name: 'ben', password: 'secret' },
}
const linesOf = (change: Partial<Parameters<typeof formatClientSetup>[0]>) =>
  formatClientSetup({ ...setup, ...change }).split('\n')

describe('formatClientSetup', () => {
  test('formatClientSetup lists every key on one line', () => {
    expect(linesOf({})).toContain('extra-trusted-public-keys = a-1:AAA= b-1:BBB=')
  })

  test.each([
    ['https://cache.example.org:8443/path', 'secret', 'machine cache.example.org login ben password secret'],
    ['http://[::1]:8080', 'secret', 'machine ::1 login ben password secret'],
    ['http://127.0.0.1', 'a#b:c', 'machine 127.0.0.1 login ben password a#b:c'],
    ['http://127.0.0.1', '#ab', 'machine 127.0.0.1 login ben password "#ab"'],
    ['http://127.0.0.1', 'a b', 'machine 127.0.0.1 login ben password "a b"'],
    ['http://127.0.0.1', 'a"\\b', 'machine 127.0.0.1 login ben password "a\\"\\\\b"'],
    ['http://127.0.0.1', undefined, 'machine 127.0.0.1 login ben password PASSWORD'],
  ])('formatClientSetup writes a netrc entry for %s and password %j', (url, password, wanted) => {
    expect(linesOf({ url, login: { name: 'ben', password } })).toContain(wanted)
  })

  test('formatClientSetup lets builds go on without the cache, and says what Nix 2.8 does then', () => {
    const lines = linesOf({})
    for (const line of [
      'fallback = true',
      'connect-timeout = 5',
      'download-attempts = 7',
      'stalled-download-timeout = 120',
    ])
      expect(lines).toContain(line)
    expect(lines.join('\n')).toMatch(/^# .*2\.8.*SubstituterDisabled.*--option substituters/m)
  })

  test('formatClientSetup of a public, unsigned cache needs no netrc and no key', () => {
    const text = formatClientSetup({ ...setup, publicKeys: [], login: undefined })
    expect(text).not.toMatch(/machine|trusted-public-keys =/)
  })

  test('formatClientSetup of a unix socket names no address of this machine', () => {
    expect(linesOf({ url: undefined })).toContain('extra-substituters = https://CACHE.EXAMPLE.ORG')
  })

  test('formatClientSetup warns of another store directory', () => {
    expect(linesOf({ storeDir: '/gnu/store' }).join('\n')).toContain('/gnu/store')
  })
})

describe('formatPushSetup', () => {
  test('formatPushSetup names burrow push first, then nix copy with zstd and the limit of the edge', () => {
    const lines = formatPushSetup({ url: 'https://cache.example.org' }).split('\n')
    const commands = lines.filter((line) => line !== '' && !line.startsWith('#'))
    expect(commands[0]).toBe('burrow push --to https://cache.example.org ./result')
    expect(commands[1]).toMatch(/^nix .*copy .*--to 'https:\/\/cache\.example\.org\?compression=zstd' \.\/result$/)
    expect(lines.join('\n')).toContain('below 100 MB compressed')
  })

  test('formatPushSetup speaks of no edge for an address of this machine', () => {
    expect(formatPushSetup({ url: 'http://127.0.0.1:8080' })).not.toContain('100 MB')
  })
})

test.each([
  ['https://Cache.Example.org', 'https://cache.example.org'],
  ['https://cache.example.org/', 'https://cache.example.org'],
  ['http://x:8080/nix/', 'http://x:8080/nix'],
  ['ftp://x', undefined],
  ['https://ana:pw@x', undefined],
  ['https://x?y', undefined],
  ['x', undefined],
])('parseCacheUrl takes %j for %j', (text, wanted) => expect(parseCacheUrl(text)).toBe(wanted))
