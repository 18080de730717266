import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { describe, expect, test } from '@jest/globals'

import {
  createAccount,
  createConnector,
  createRecord,
  createRule,
  createTunnel,
} from '../../fixtures/cloudflare-account.ts'
import { startCloudflareApi } from '../../fixtures/cloudflare-api.ts'
import { createBurrowDir, hostname, runTunnel, setUp } from './tunnel-program.ts'

const tearDown = (options: Parameters<typeof setUp>[0], ...args: string[]) =>
  runTunnel(['teardown', '--yes', ...args], options)

describe('burrow tunnel teardown', () => {
  test('teardown removes what setup made and nothing else, and the config says "off"', async () => {
    const account = createAccount()
    const [zone] = account.zones
    const theirRecord = createRecord(zone!, { name: 'git.example.org', type: 'A', content: '192.0.2.1' })
    const theirRule = createRule({ description: 'theirs', expression: 'true' })
    const theirTunnel = createTunnel('theirs')
    account.records.push(theirRecord)
    account.tunnels.push(theirTunnel)
    account.rulesets.push({ id: 'f'.repeat(32), zoneId: zone!.id, rules: [theirRule] })
    await using api = await startCloudflareApi(account)
    await using dir = await createBurrowDir()
    await setUp({ dir, api })
    const { code, stdout } = await tearDown({ dir, api })
    expect(code).toBe(0)
    expect(stdout.match(/^ {2}delete /gm)).toHaveLength(4)
    expect(account.records).toEqual([theirRecord])
    expect(account.rulesets).toEqual([{ id: 'f'.repeat(32), zoneId: zone!.id, rules: [theirRule] }])
    expect(account.tunnels.filter(({ deleted_at }) => deleted_at === null)).toEqual([theirTunnel])
    expect(existsSync(dir.file('state/tunnel-token'))).toBe(false)
    expect(existsSync(dir.file('state/cloudflare.json'))).toBe(false)
    expect(JSON.parse(await readFile(dir.file('burrow.json'), 'utf8'))).toHaveProperty('tunnel', 'off')
  })

  test('teardown does nothing where nothing was set up, and needs no token for that', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    const { code, stdout } = await runTunnel(['teardown'], { dir, api, env: { CLOUDFLARE_API_TOKEN: '' } })
    expect(code).toBe(0)
    expect(stdout).toContain('has no record of a setup')
  })

  test('teardown --dry-run and teardown without --yes change nothing', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await setUp({ dir, api })
    const changes = api.changes()
    expect(await runTunnel(['teardown', '--dry-run'], { dir, api })).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('delete'),
    })
    expect(await runTunnel(['teardown'], { dir, api })).toMatchObject({ code: 2 })
    expect(api.changes()).toEqual(changes)
    expect(existsSync(dir.file('state/cloudflare.json'))).toBe(true)
  })

  test('teardown leaves a tunnel that has connections, until --force cuts them', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await setUp({ dir, api })
    const [tunnel] = api.account.tunnels
    tunnel!.connectors = [createConnector(2)]
    const refused = await tearDown({ dir, api })
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/2 connections: stop Burrow first.*--force/)
    expect(api.account.records).toHaveLength(1)
    expect(await tearDown({ dir, api }, '--force')).toMatchObject({ code: 0 })
    expect(tunnel!.deleted_at).not.toBeNull()
  })

  test('teardown says what to do when a connector connects in the last moment', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await setUp({ dir, api })
    const message = 'Cannot delete tunnel because it has active connections'
    api.fail({ method: 'DELETE', path: /cfd_tunnel\/[^/]+$/, status: 400, code: 1022, message })
    const { code, stderr } = await tearDown({ dir, api })
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /connectors are connected to it \(.*code 1022.*\); stop Burrow.*--force[\s\S]*Done: delete record, delete rule\. Not done: delete tunnel/,
    )
    expect(await tearDown({ dir, api })).toMatchObject({ code: 0 })
  })

  test('teardown takes one host name from a tunnel that serves others, and leaves the tunnel', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await setUp({ dir, api })
    const [tunnel] = api.account.tunnels
    const git = { hostname: 'git.example.org', service: 'http://127.0.0.1:3000' }
    tunnel!.configuration = { ingress: [git, ...(tunnel!.configuration!.ingress as object[])] }
    const { code, stdout } = await tearDown({ dir, api })
    expect(code).toBe(0)
    expect(stdout).toMatch(/leave +tunnel.*git\.example\.org/)
    expect(tunnel!.deleted_at).toBeNull()
    expect(tunnel!.configuration).toEqual({ ingress: [git, { service: 'http_status:404' }] })
  })

  test('teardown leaves what it found there: tunnel, record and rule of others', async () => {
    const account = createAccount()
    const [zone] = account.zones
    const tunnel = createTunnel('home')
    const record = createRecord(zone!, { name: hostname, content: `${tunnel.id}.cfargotunnel.com`, proxied: true })
    const rule = createRule({
      description: 'mine',
      expression: `(http.host eq "${hostname}")`,
      action: 'set_cache_settings',
      action_parameters: { cache: false },
    })
    account.tunnels.push(tunnel)
    account.records.push(record)
    account.rulesets.push({ id: 'f'.repeat(32), zoneId: zone!.id, rules: [rule] })
    await using api = await startCloudflareApi(account)
    await using dir = await createBurrowDir()
    const { stdout } = await setUp({ dir, api }, '--name', 'home')
    expect(stdout.match(/^ {2}adopt .*teardown will keep it/gm)).toHaveLength(3)
    expect(await tearDown({ dir, api })).toMatchObject({ code: 0 })
    expect([tunnel.deleted_at, account.records, account.rulesets[0]!.rules]).toEqual([null, [record], [rule]])
    expect(tunnel.configuration).toEqual({ ingress: [{ service: 'http_status:404' }] })
  })

  test('teardown leaves a record, a rule and a host name that somebody has made theirs since', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await setUp({ dir, api })
    const { records, rulesets, tunnels } = api.account
    Object.assign(records[0]!, { content: 'elsewhere.example.net', comment: 'mine' })
    Object.assign(rulesets[0]!.rules[0]!, { expression: 'true', description: 'mine' })
    tunnels[0]!.configuration = {
      ingress: [
        { hostname: 'x.example.org', service: 'http://x' },
        { hostname, service: 'http://127.0.0.1:1' },
        { service: 'http_status:404' },
      ],
    }
    const { code, stdout } = await tearDown({ dir, api })
    expect(code).toBe(0)
    expect(stdout.match(/changed since the setup/g)).toHaveLength(3)
    expect([records.length, rulesets[0]!.rules.length, tunnels[0]!.deleted_at]).toEqual([1, 1, null])
  })

  test('teardown bears what is gone already', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await setUp({ dir, api })
    api.account.records.length = 0
    api.account.rulesets.length = 0
    api.account.tunnels[0]!.deleted_at = '2026-02-03T04:05:06Z'
    const { code, stdout } = await tearDown({ dir, api })
    expect(code).toBe(0)
    expect(stdout.match(/^ {2}leave /gm)).toHaveLength(3)
    expect(existsSync(dir.file('state/cloudflare.json'))).toBe(false)
  })

  test('teardown goes on where it failed', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await setUp({ dir, api })
    api.fail({ method: 'DELETE', path: /rules\//, status: 403, code: 10000, message: 'Authentication error' })
    const { code, stderr } = await tearDown({ dir, api })
    expect(code).toBe(1)
    expect(stderr).toMatch(/Done: delete record\. Not done: delete rule, delete tunnel, change config, delete token\./)
    expect(await tearDown({ dir, api })).toMatchObject({ code: 0 })
    expect([api.account.records.length, api.account.rulesets.length]).toEqual([0, 0])
  })

  test('teardown takes a deletion whose answer was lost for done', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await setUp({ dir, api })
    api.fail({ method: 'DELETE', path: /dns_records/, isDone: true, status: 502, headers: { 'Retry-After': '0' } })
    expect(await tearDown({ dir, api })).toMatchObject({ code: 0 })
  })
})
