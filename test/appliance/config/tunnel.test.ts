/** The setting "tunnel": its modes, their options, and what is refused. */
import { writeFile } from 'node:fs/promises'
import { describe, expect, test } from '@jest/globals'

import { parseDuration } from '../../../appliance/config/duration.ts'
import { isHostname } from '../../../appliance/config/hostname.ts'
import { loadConfig } from '../../../appliance/config/load-config.ts'
import { createScratchDir } from '../scratch-dir.ts'

async function load(content: object) {
  await using dir = await createScratchDir()
  await writeFile(dir.file('burrow.json'), JSON.stringify({ users: ['a:b'], ...content }))
  return loadConfig({
    machine: {
      env: { TUNNEL_TOKEN: 'abc', RUNTIME_DIRECTORY: '/run/burrow' },
      workingDir: dir.path,
      homeDir: '/home/ana',
    },
  }).config
}

async function refusalOf(content: object): Promise<string> {
  return load(content).then(
    () => 'it was taken',
    (error: Error) => error.message,
  )
}

describe('the setting "tunnel"', () => {
  test('a config without it goes nowhere beyond loopback', async () => {
    expect((await load({})).tunnel).toBeUndefined()
    expect((await load({ tunnel: 'off' })).tunnel).toBeUndefined()
    expect((await load({ tunnel: { mode: 'off' } })).tunnel).toBeUndefined()
  })

  test('"quick" asked for is looked for until it is found', async () => {
    expect((await load({ tunnel: 'quick' })).tunnel).toMatchObject({
      mode: 'quick',
      isOptional: false,
      protocol: 'http2',
      graceMs: 30_000,
    })
  })

  test('a token comes from the environment or from a file', async () => {
    expect((await load({ tunnel: { mode: 'token', token: '$TUNNEL_TOKEN' } })).tunnel?.secret).toEqual({
      kind: 'token',
      token: 'abc',
    })
    expect((await load({ tunnel: { mode: 'token', tokenFile: '/run/token' } })).tunnel?.secret).toEqual({
      kind: 'token-file',
      file: '/run/token',
    })
  })

  test('every option arrives', async () => {
    const tunnel = {
      mode: 'credentials',
      credentialsFile: '/etc/burrow/tunnel.json',
      hostname: 'Cache.Example.ORG',
      protocol: 'quic',
      region: 'us',
      edgeIpVersion: '6',
      gracePeriod: '1m30s',
      logLevel: 'warn',
      haConnections: 2,
      extraArgs: ['--label', 'x'],
      binary: '/opt/cf/cloudflared',
    }
    expect((await load({ tunnel })).tunnel).toEqual({
      mode: 'credentials',
      secret: { kind: 'credentials-file', file: '/etc/burrow/tunnel.json' },
      isOptional: false,
      hostname: 'cache.example.org',
      protocol: 'quic',
      region: 'us',
      edgeIpVersion: '6',
      graceMs: 90_000,
      logLevel: 'warn',
      haConnections: 2,
      extraArgs: ['--label', 'x'],
      binary: '/opt/cf/cloudflared',
    })
  })

  test('what need not outlive a start lies in $RUNTIME_DIRECTORY', async () => {
    expect((await load({})).runtimeDir).toBe('/run/burrow')
  })

  test.each<[what: string, content: object, message: RegExp]>([
    ['a mode that is none', { tunnel: 'token' }, /\/tunnel .*give "off" or "quick" or an object/],
    ['a misspelt mode', { tunnel: { mode: 'qick' } }, /\/tunnel\/mode .*did you mean "quick"/],
    ['an object without mode', { tunnel: { hostname: 'a.b' } }, /\/tunnel\/mode .*is missing/],
    ['an unknown option', { tunnel: { mode: 'quick', metrics: 1 } }, /\/tunnel\/metrics .*is not a setting/],
    [
      'a token mode without token',
      { tunnel: { mode: 'token' } },
      /\/tunnel .*no "token" or "tokenFile"; give one of "token" and "tokenFile"/,
    ],
    [
      'two tokens',
      { tunnel: { mode: 'token', token: 'x', tokenFile: '/y' } },
      /\/tunnel .*has "token" and "tokenFile"/,
    ],
    [
      'credentials in token mode',
      { tunnel: { mode: 'token', token: 'x', credentialsFile: '/y' } },
      /\/tunnel\/credentialsFile .*set "mode": "credentials"/,
    ],
    [
      'credentials without file',
      { tunnel: { mode: 'credentials', hostname: 'a.b' } },
      /\/tunnel .*no "credentialsFile"/,
    ],
    [
      'credentials without hostname',
      { tunnel: { mode: 'credentials', credentialsFile: '/y' } },
      /\/tunnel .*no "hostname"/,
    ],
    [
      'a quick tunnel with a name',
      { tunnel: { mode: 'quick', hostname: 'a.b' } },
      /\/tunnel\/hostname .*cannot be chosen/,
    ],
    [
      'a URL for a host',
      { tunnel: { mode: 'token', token: 'x', hostname: 'https://a.b/' } },
      /\/tunnel\/hostname .*is not a host name/,
    ],
    [
      'a grace period beyond what cloudflared allows',
      { tunnel: { mode: 'quick', gracePeriod: '4m' } },
      /\/tunnel\/gracePeriod .*at most "3m"/,
    ],
    [
      'a grace period without unit',
      { tunnel: { mode: 'quick', gracePeriod: '30' } },
      /\/tunnel\/gracePeriod .*write it like "30s"/,
    ],
    [
      'a token on the command line',
      { tunnel: { mode: 'quick', extraArgs: ['--token=x'] } },
      /\/tunnel\/extraArgs\/0 .*every user of this machine can read/,
    ],
    [
      'a metrics listener for others',
      { tunnel: { mode: 'quick', extraArgs: ['--label', 'x', '--metrics', '0.0.0.0:2000'] } },
      /\/tunnel\/extraArgs\/2 .*0\.0\.0\.0:2000/,
    ],
    [
      'one in a single word',
      { tunnel: { mode: 'quick', extraArgs: ['-metrics=:2000'] } },
      /\/tunnel\/extraArgs\/0 .*":2000"/,
    ],
    [
      'one without its address',
      { tunnel: { mode: 'quick', extraArgs: ['--metrics'] } },
      /\/tunnel\/extraArgs\/0 .*remove it/,
    ],
    ['an empty token', { tunnel: { mode: 'token', token: ' ' } }, /\/tunnel\/token .*is empty/],
    ['a binary by name alone', { tunnel: { mode: 'quick', binary: 'cloudflared' } }, /\/tunnel\/binary .*PATH/],
    [
      'a tunnel to a cache for nobody',
      { users: [], mutableUsers: false, tunnel: 'quick' },
      /\/users .*is empty, and "mutableUsers" is false/,
    ],
    [
      'a tunnel to a cache without users',
      { users: undefined, tunnel: 'quick' },
      /names no users; add a user, say "users": \[\] to add users with "burrow user add" only, or "public": true/,
    ],
  ])('it refuses %s', async (_what, content, message) => {
    expect(await refusalOf(content)).toMatch(message)
  })

  test.each([
    ['--metrics', '127.0.0.1:20241'],
    ['--metrics=localhost:0'],
    ['--metrics=[::1]:9'],
    ['--metrics-update-freq', '5s'],
  ])('it takes %s %s', async (...extraArgs) => {
    expect((await load({ tunnel: { mode: 'quick', extraArgs } })).tunnel!.extraArgs).toEqual(extraArgs)
  })

  test('it refuses a token without showing it', async () => {
    expect(
      await refusalOf({ tunnel: { mode: 'quick', token: 'hunter2', extraArgs: ['--token=hunter2'] } }),
    ).not.toContain('hunter2')
  })
})

test.each([
  ['30s', 30_000],
  ['1m30s', 90_000],
  ['500ms', 500],
  ['2h', 7_200_000],
  ['0s', 0],
  ['30d', 2_592_000_000],
  ['999999999d', undefined],
  ['', undefined],
  ['30', undefined],
  ['-1s', undefined],
  ['1.5s', undefined],
  ['s', undefined],
])('parseDuration reads %j as %j ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

test.each([
  ['cache.example.org', true],
  ['localhost', true],
  ['xn--bcher-kva.example', true],
  ['a', true],
  ['', false],
  ['.', false],
  ['a..b', false],
  ['-a.b', false],
  ['a_b.c', false],
  ['*.example.org', false],
  ['a.b.', false],
  ['a:80', false],
  ['a b', false],
  [`${'a'.repeat(64)}.b`, false],
])('isHostname takes %j: %j', (text, is) => {
  expect(isHostname(text)).toBe(is)
})
