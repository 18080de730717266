import { rm, writeFile } from 'node:fs/promises'
import { describe, expect, test } from '@jest/globals'

import {
  createConnector,
  createRecord,
  createRule,
  createTunnel,
  type FakeAccount,
} from '../../fixtures/cloudflare-account.ts'
import { startCloudflareApi } from '../../fixtures/cloudflare-api.ts'
import type { ScratchDir } from '../scratch-dir.ts'
import { createBurrowDir, hostname, runTunnel, setUp } from './tunnel-program.ts'

type Change = (account: FakeAccount, dir: ScratchDir) => unknown

const drifts: readonly (readonly [what: string, part: string, change: Change, told: RegExp])[] = [
  [
    'a deleted tunnel',
    'tunnel',
    ({ tunnels }) => Object.assign(tunnels[0]!, { deleted_at: '2026-02-03T04:05:06Z' }),
    /was deleted/,
  ],
  [
    'ingress rules without us',
    'ingress',
    ({ tunnels }) => Object.assign(tunnels[0]!, { configuration: null }),
    /no rule for cache\.example\.org/,
  ],
  [
    'ingress rules that lead elsewhere',
    'ingress',
    ({ tunnels }) =>
      Object.assign(tunnels[0]!, {
        configuration: { ingress: [{ hostname, service: 'http://127.0.0.1:1' }, { service: 'http_status:404' }] },
      }),
    /sends cache\.example\.org to http:\/\/127\.0\.0\.1:1, but Burrow listens on http:\/\/127\.0\.0\.1:8080/,
  ],
  ['a missing record', 'record', ({ records }) => records.pop(), /no DNS record/],
  [
    'a record that is not proxied',
    'record',
    ({ records }) => Object.assign(records[0]!, { proxied: false }),
    /not proxied/,
  ],
  [
    'a record that leads elsewhere',
    'record',
    ({ records }) => Object.assign(records[0]!, { content: 'elsewhere.example.net' }),
    /points to elsewhere\.example\.net/,
  ],
  [
    "another's record",
    'record',
    ({ records, zones }) =>
      records.splice(0, 1, createRecord(zones[0]!, { name: hostname, type: 'A', content: '192.0.2.7' })),
    /A 192\.0\.2\.7/,
  ],
  ['a missing rule', 'rule', ({ rulesets }) => rulesets[0]!.rules.pop(), /no cache rule/],
  ['a missing ruleset', 'rule', ({ rulesets }) => rulesets.pop(), /no cache rule/],
  [
    'a disabled rule',
    'rule',
    ({ rulesets }) => Object.assign(rulesets[0]!.rules[0]!, { enabled: false }),
    /is disabled/,
  ],
  [
    'a rule that caches',
    'rule',
    ({ rulesets }) => Object.assign(rulesets[0]!.rules[0]!, { action_parameters: { cache: true } }),
    /something else/,
  ],
  [
    'a rule for others',
    'rule',
    ({ rulesets }) => Object.assign(rulesets[0]!.rules[0]!, { expression: '(http.host eq "x")' }),
    /is for \(http\.host eq "x"\)/,
  ],
  [
    'a rotated token',
    'token',
    ({ tunnels }) => Object.assign(tunnels[0]!, { secret: Buffer.alloc(32).toString('base64') }),
    /does not contain the current token/,
  ],
  ['a missing token', 'token', (_account, dir) => rm(dir.file('state/tunnel-token')), /there is no/],
]

describe('burrow tunnel status', () => {
  test('status tells that all is right', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await setUp({ dir, api })
    api.account.tunnels[0]!.connectors = [createConnector(4)]
    const { code, stdout } = await runTunnel(['status'], { dir, api })
    expect(code).toBe(0)
    expect(stdout).toContain('tunnel healthy, 4 connections')
    expect(stdout.match(/^ {2}ok /gm)).toHaveLength(6)
    const json = JSON.parse((await runTunnel(['status', '--json'], { dir, api })).stdout)
    expect(json).toMatchObject({
      isRight: true,
      hostname,
      service: 'http://127.0.0.1:8080',
      tunnel: { name: 'burrow-cache-example-org', connections: 4 },
    })
  })

  test('status shows each connector, and names one that has not taken the newest ingress rules', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await setUp({ dir, api })
    const [tunnel] = api.account.tunnels
    tunnel!.version = 3
    const [current, late] = [createConnector(4, { config_version: 3 }), createConnector(2, { config_version: 2 })]
    tunnel!.connectors = [current, late]
    const { code, stdout } = await runTunnel(['status'], { dir, api })
    expect(code).toBe(0)
    expect(stdout).toContain('tunnel healthy, 6 connections\n')
    expect(stdout).toContain(`  connector ${current.id}  cloudflared 2026.9.3, 4 connections, configuration 3\n`)
    expect(stdout).toMatch(new RegExp(`Note: The connector ${late.id} still uses configuration 2 .* newest is 3`))
    expect(stdout).not.toContain(`Note: The connector ${current.id}`)
    const json = JSON.parse((await runTunnel(['status', '--json'], { dir, api })).stdout)
    expect(json.tunnel).toMatchObject({
      connections: 6,
      configVersion: 3,
      connectors: [{ id: current.id, configVersion: 3 }, { configVersion: 2 }],
    })
  })

  test.each(drifts)('status names %s with its remedy, and setup mends it', async (_what, part, change, told) => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await setUp({ dir, api })
    await change(api.account, dir)
    const changes = api.changes()
    const { code, stdout } = await runTunnel(['status', '--json'], { dir, api })
    expect(code).toBe(1)
    const { isRight, parts } = JSON.parse(stdout)
    expect(isRight).toBe(false)
    expect(parts.find((each: { part: string }) => each.part === part)).toMatchObject({
      isRight: false,
      drift: expect.stringMatching(told),
      remedy: expect.stringContaining('burrow tunnel setup'),
    })
    const plain = await runTunnel(['status'], { dir, api })
    expect(plain.stdout).toMatch(new RegExp(`DIFFERS +${part} +.*${told.source}.*\\n +-> `))
    expect(api.changes()).toEqual(changes)

    expect(await setUp({ dir, api }, '--replace-record')).toMatchObject({ code: 0 })
    expect(await runTunnel(['status'], { dir, api })).toMatchObject({ code: 0, stderr: '' })
    const { records, rulesets, tunnels } = api.account
    expect([
      records.length,
      rulesets.length,
      rulesets[0]!.rules.length,
      tunnels.filter(({ deleted_at }) => deleted_at === null).length,
    ]).toEqual([1, 1, 1, 1])
  })

  test('status names a config that says something else', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await setUp({ dir, api })
    await writeFile(
      dir.file('burrow.json'),
      JSON.stringify({ listen: '127.0.0.1:9090', users: ['a:b'], state: { dir: 'state' }, tunnel: 'quick' }),
    )
    const { code, stdout, stderr } = await runTunnel(['status'], { dir, api })
    expect(code).toBe(1)
    expect(stdout).toMatch(/DIFFERS +ingress .*Burrow listens on http:\/\/127\.0\.0\.1:9090[\s\S]*DIFFERS +config/)
    expect(stderr).toContain('2 things differ')
  })

  test('status notes a later rule that caches this host too, and none for other hosts', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await setUp({ dir, api })
    const caching = { action: 'set_cache_settings', action_parameters: { cache: true } }
    const other = createRule({ ...caching, description: 'blog', expression: '(http.host eq "blog.example.org")' })
    api.account.rulesets[0]!.rules.push(other, createRule({ ...caching, description: 'all', expression: 'true' }))
    const { code, stdout } = await runTunnel(['status', '--json'], { dir, api })
    expect(code).toBe(0)
    expect(JSON.parse(stdout).notes).toEqual([expect.stringContaining('"all" (true) comes after')])
  })

  test('status tells where nothing was set up, and of a damaged record', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    expect(await runTunnel(['status'], { dir, api })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('burrow tunnel setup --hostname'),
    })
    await setUp({ dir, api })
    await writeFile(dir.file('state/cloudflare.json'), '{"version":2')
    expect(await runTunnel(['status'], { dir, api })).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('is damaged'),
    })
  })

  test('status says when another tunnel has taken the name', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await setUp({ dir, api })
    api.account.tunnels[0]!.deleted_at = '2026-02-03T04:05:06Z'
    api.account.tunnels.push(createTunnel('burrow-cache-example-org'))
    const { code, stdout } = await runTunnel(['status'], { dir, api })
    expect(code).toBe(1)
    expect(stdout).toMatch(/DIFFERS +tunnel .*was deleted[\s\S]*DIFFERS +record/)
  })
})
