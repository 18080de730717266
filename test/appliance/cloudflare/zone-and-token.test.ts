import { readFile, writeFile } from 'node:fs/promises'
import { describe, expect, test } from '@jest/globals'

import { createAccount, createZone, goodToken, ownAccount, toTunnelToken } from '../../fixtures/cloudflare-account.ts'
import { startCloudflareApi } from '../../fixtures/cloudflare-api.ts'
import { createBurrowDir, hostname, runTunnel, setUp, spawnTunnel } from './tunnel-program.ts'

describe('the zone', () => {
  test('setup takes the longest zone that fits, in the account that has it active', async () => {
    const other = { id: 'e'.repeat(32), name: 'Elsewhere' }
    const account = createAccount()
    const lab = createZone('lab.example.org', { account: other })
    account.zones.push(createZone('lab.example.org', { status: 'pending' }), lab, createZone('ab.example.org'))
    await using api = await startCloudflareApi(account)
    await using dir = await createBurrowDir()
    expect(await runTunnel(['setup', '--hostname', 'a.lab.example.org', '--yes'], { dir, api })).toMatchObject({
      code: 0,
    })
    expect(account.tunnels).toEqual([expect.objectContaining({ accountId: other.id })])
    expect(account.records).toEqual([expect.objectContaining({ zoneId: lab.id })])
  })

  test('setup asks which account, and takes --account by name or id', async () => {
    const other = { id: 'e'.repeat(32), name: 'Elsewhere' }
    const account = createAccount()
    account.zones.push(createZone('example.org', { account: other }))
    await using api = await startCloudflareApi(account)
    await using dir = await createBurrowDir()
    const { code, stderr } = await setUp({ dir, api })
    expect(code).toBe(1)
    expect(stderr).toContain(
      `Example Ltd (${ownAccount.id}, active), Elsewhere (${other.id}, active); give one of their ids with --account`,
    )
    expect((await setUp({ dir, api }, '--account', 'elsewhere', '--dry-run')).stdout).toContain(other.id)
    expect((await setUp({ dir, api }, '--account', ownAccount.id, '--dry-run')).stdout).toContain(ownAccount.id)
  })

  test('setup tells of a zone that is not active, and of a name that no certificate covers', async () => {
    await using api = await startCloudflareApi({
      ...createAccount(),
      zones: [createZone('example.org', { status: 'pending' })],
    })
    await using dir = await createBurrowDir()
    const { stdout } = await runTunnel(['setup', '--hostname', 'a.b.example.org', '--dry-run'], { dir, api })
    expect(stdout).toMatch(/"example\.org" is pending/)
    expect(stdout).toMatch(/Universal SSL covers only \*\.example\.org/)
  })
})

describe('the API token', () => {
  test('setup takes it from a file, and it is in no file and no output', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await writeFile(dir.file('token.txt'), `${goodToken}\n`)
    const { code, stdout, stderr } = await setUp(
      { dir, api, env: { CLOUDFLARE_API_TOKEN: 'wrong' } },
      '--api-token-file',
      'token.txt',
    )
    expect(code).toBe(0)
    expect(stdout + stderr).not.toContain(goodToken)
    const [tunnel] = api.account.tunnels
    expect(stdout + stderr).not.toContain(toTunnelToken(tunnel!))
    expect(await readFile(dir.file('state/cloudflare.json'), 'utf8')).not.toContain(tunnel!.secret)
    for (const file of ['burrow.json', 'state/cloudflare.json', 'state/tunnel-token'])
      expect(await readFile(dir.file(file), 'utf8')).not.toContain(goodToken)
  })

  test('setup as a process ignores other credentials and addresses in the environment', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    const env = {
      CLOUDFLARE_API_KEY: 'k'.repeat(37),
      CLOUDFLARE_EMAIL: 'eve@example.org',
      CLOUDFLARE_BASE_URL: 'http://127.0.0.1:1',
      CLOUDFLARE_LOG: 'debug',
      CLOUDFLARE_API_USER_SERVICE_KEY: 'v1.0-x',
    }
    const { code, stdout, stderr } = await spawnTunnel(['setup', '--hostname', hostname, '--yes'], { dir, api, env })
    expect(code).toBe(0)
    expect(stdout + stderr).not.toMatch(/sending request|kkk/)
    expect(stdout + stderr).not.toContain(goodToken)
    expect(api.calls.filter(({ credentials }) => credentials.join() !== 'authorization')).toEqual([])
    expect(await spawnTunnel(['status'], { dir, api, env })).toMatchObject({ code: 0, stderr: '' })
  })

  test('setup takes the token of an account', async () => {
    await using api = await startCloudflareApi({ ...createAccount(), tokens: [{ value: goodToken, owner: 'account' }] })
    await using dir = await createBurrowDir()
    expect(await setUp({ dir, api })).toMatchObject({ code: 0 })
  })

  test.each([
    [
      '',
      2,
      /without a terminal.*\$CLOUDFLARE_API_TOKEN[\s\S]*Account > Cloudflare Tunnel: Edit\n {2}Zone > Zone: Read\n {2}Zone > DNS: Edit\n {2}Zone > Cache Rules: Edit/,
    ],
    ['two words of a thing that is no token', 2, /has the wrong format/],
    [
      'x'.repeat(40),
      1,
      /does not accept this API token \(HTTP 403, code 9109: Invalid access token\): it was revoked, has expired or was not copied completely; create a new one/,
    ],
    [
      `cfut_${'x'.repeat(40)}`,
      1,
      /does not accept this API token \(HTTP 401, code 1000: Invalid API Token\).* create a new one at https:\/\/dash\.\S+api-tokens\n/,
    ],
    [
      `cfat_${'x'.repeat(40)}`,
      1,
      /does not accept this API token \(HTTP 403, code 9109: .* create a new one at "Manage Account > API Tokens"/,
    ],
    [`cfk_${'x'.repeat(40)}`, 2, /it is the Global API Key, which has all permissions; create a token at https:/],
  ])('setup refuses the token %j without printing it', async (token, wanted, message) => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    const { code, stdout, stderr } = await setUp({ dir, api, env: { CLOUDFLARE_API_TOKEN: token } })
    expect(stderr).toMatch(message)
    expect(code).toBe(wanted)
    if (token !== '') expect(stdout + stderr).not.toContain(token)
  })

  test.each(['revoked', 'expired'] as const)(
    'setup says that a token which is %s is no longer one, and asks for no permission',
    async (how) => {
      const tokens = how === 'expired' ? [{ value: goodToken, status: how }] : []
      await using api = await startCloudflareApi({ ...createAccount(), tokens })
      await using dir = await createBurrowDir()
      const { code, stderr } = await setUp({ dir, api })
      expect(code).toBe(1)
      expect(stderr).toMatch(/it was revoked, has expired or was not copied completely; create a new one at/)
      expect(stderr).not.toContain('Zone: Read')
    },
  )

  test('setup asks about a token where its kind is known: an account token never under /user, a user token never in the account', async () => {
    for (const [prefix, owner, path] of [
      ['cfut_', 'user', '/user/tokens/verify'],
      ['cfat_', 'account', `/accounts/${ownAccount.id}/tokens/verify`],
    ] as const) {
      const value = `${prefix}${'k'.repeat(40)}`
      await using api = await startCloudflareApi({ ...createAccount(), tokens: [{ value, owner }] })
      await using dir = await createBurrowDir()
      expect(await setUp({ dir, api, env: { CLOUDFLARE_API_TOKEN: value } })).toMatchObject({ code: 0 })
      expect(api.calls.map((call) => call.path).filter((each) => each.endsWith('/verify'))).toEqual([path])
    }
  })

  test('setup names both causes where a revoked token and a missing permission are answered alike', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    api.fail({ path: /cfd_tunnel/, status: 401, code: 10000, message: 'Forbidden' })
    const { stderr } = await setUp({ dir, api })
    expect(stderr).toMatch(
      /\(HTTP 401, code 10000: Forbidden\); check that it is neither revoked nor expired, and give it the permission "Account > Cloudflare Tunnel: Edit"/,
    )
  })

  test('setup refuses a token that is not active', async () => {
    await using api = await startCloudflareApi({
      ...createAccount(),
      tokens: [{ value: goodToken, status: 'disabled' }],
    })
    await using dir = await createBurrowDir()
    expect(await setUp({ dir, api })).toMatchObject({ code: 1, stderr: expect.stringContaining('it is disabled') })
  })
})
