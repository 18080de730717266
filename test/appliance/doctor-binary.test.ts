import { describe, expect, test } from '@jest/globals'

import { checkBinary } from '../../appliance/doctor/binary-check.ts'
import type { Finding } from '../../appliance/doctor/finding.ts'
import { isOlder } from '../../appliance/tunnel/find/version.ts'
import { type Binary, LaunchFault } from '../../appliance/tunnel/launch/launch.ts'
import type { TunnelSettings } from '../../appliance/tunnel/settings.ts'

const settings = { mode: 'token', isOptional: false, binary: undefined } as TunnelSettings

async function check(findBinary: () => Promise<Binary | undefined>, overrides: Partial<TunnelSettings> = {}) {
  const all: Finding[] = []
  for await (const finding of checkBinary({ ...settings, ...overrides }, findBinary, Date.UTC(2026, 10, 26)))
    all.push(finding)
  return all.map(({ grade, what }) => `${grade} ${what}`)
}

const path = '/usr/bin/cloudflared'

describe('checkBinary', () => {
  test.each<[string | undefined, string]>([
    ['2026.10.0', `ok ${path}, version 2026.10.0`],
    ['2026.11.2', `ok ${path}, version 2026.11.2`],
    ['2026.9.3', `warn ${path} is version 2026.9.3, which lacks the security fixes of 2026.10.0`],
    [
      '2026.8.1',
      `warn ${path} is version 2026.8.1, which was withdrawn by Cloudflare, since it changes the paths of requests`,
    ],
    [
      '2025.9.0',
      `warn ${path} is version 2025.9.0, which is more than a year old: Cloudflare supports none as old as that, and faults in it stay`,
    ],
    ['2025.6.11', `warn ${path} is version 2025.6.11, which is too old: Burrow wants 2025.7.0 or newer`],
    ['DEV', `ok ${path}, version DEV`],
    [undefined, `warn ${path} does not report its version`],
  ])('version %s', async (version, expected) => {
    expect(await check(async () => ({ path, version }))).toEqual([expected])
  })

  test('none at all is broken, unless the tunnel is only there where it can be had', async () => {
    const none = async () => undefined
    expect(await check(none)).toEqual(['fail cloudflared is not installed'])
    expect(await check(none, { binary: '/opt/cloudflared' })).toEqual(['fail "/opt/cloudflared" does not exist'])
    expect(await check(none, { isOptional: true })).toEqual([
      'warn cloudflared is not installed, so the cache is only reachable on this machine',
    ])
  })

  test('one that cannot be used is told as the tunnel would tell it', async () => {
    expect(
      await check(async () => {
        throw new LaunchFault('this user may not execute "x"', 'run chmod')
      }),
    ).toEqual(['fail this user may not execute "x"'])
  })
})

test.each([
  ['2024.12.2', '2025.7.0', true],
  ['2025.7.0', '2025.7.0', false],
  ['2025.10.0', '2025.7.0', false],
  ['garbage', '2025.7.0', false],
])('isOlder(%s, %s) is %s', (version, than, expected) => expect(isOlder(version, than)).toBe(expected))
