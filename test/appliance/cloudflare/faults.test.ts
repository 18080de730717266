/** What an API that refuses, limits, fails or is not there makes of the commands. */
import { describe, expect, test } from '@jest/globals'

import {
  createAccount,
  createTunnel,
  createZone,
  goodToken,
  type TokenPermission,
} from '../../fixtures/cloudflare-account.ts'
import { startCloudflareApi } from '../../fixtures/cloudflare-api.ts'
import { createBurrowDir, setUp } from './tunnel-program.ts'

const all: readonly TokenPermission[] = ['tunnel', 'dns', 'zone', 'rules']

describe('the Cloudflare API', () => {
  test.each([
    ['tunnel', /code 10000: Authentication error\); give it the permission "Account > Cloudflare Tunnel: Edit"/],
    ['dns', /code 10000: Authentication error\); give it the permission "Zone > DNS: Edit"/],
    ['zone', /Cannot find a zone for "cache\.example\.org".*give the API token access to it: "Zone > Zone: Read"/],
    ['rules', /code 10000: Authentication error\); give it the permission "Zone > Cache Rules: Edit"/],
  ] as const)(
    'setup names the permission %j that the token lacks, before it changes anything',
    async (missing, message) => {
      await using api = await startCloudflareApi({
        ...createAccount(),
        tokens: [{ value: goodToken, permissions: all.filter((each) => each !== missing) }],
      })
      await using dir = await createBurrowDir()
      const { code, stderr } = await setUp({ dir, api })
      expect(stderr).toMatch(message)
      expect(code).toBe(1)
      expect(api.changes()).toEqual([])
    },
  )

  test('setup tells of a filter by address in the token', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    api.fail({
      path: /verify/,
      status: 403,
      code: 9109,
      message: 'Cannot use the access token from location: 192.0.2.1',
      times: 9,
    })
    api.fail({
      path: /zones/,
      status: 403,
      code: 9109,
      message: 'Cannot use the access token from location: 192.0.2.1',
      times: 9,
    })
    expect((await setUp({ dir, api })).stderr).toMatch(/from location: 192\.0\.2\.1\); allow this machine's address/)
  })

  test("setup passes on Cloudflare's page about a refusal, and no address elsewhere", async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    const refuse = (url: string) => {
      const errors = [{ code: 10000, message: 'Authentication error', documentation_url: url }]
      api.fail({ path: /cfd_tunnel/, status: 403, text: JSON.stringify({ success: false, errors }) })
    }
    refuse('https://developers.cloudflare.com/cloudflare-one/')
    expect((await setUp({ dir, api })).stderr).toMatch(
      /Tunnel: Edit".* \(Cloudflare explains this at https:\/\/developers\.cloudflare\.com\/cloudflare-one\/\)\n$/,
    )
    for (const url of [
      'https://cloudflare.com.example.org/',
      'http://developers.cloudflare.com/',
      'https://notcloudflare.com/',
      'x'.repeat(400),
      5,
    ]) {
      refuse(url as string)
      expect((await setUp({ dir, api })).stderr).not.toContain('explains this')
    }
  })

  test('setup tells of a tunnel of that name that the API token may not see', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    const hidden = createTunnel('burrow-cache-example-org')
    Object.assign(api.account.tokens[0]!, { hiddenTunnels: [hidden.id] })
    api.account.tunnels.push(hidden)
    const { code, stderr } = await setUp({ dir, api })
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /create the tunnel "burrow-cache-example-org": there is a tunnel with this name that this API token cannot access \(HTTP 409, code 1013: .*--name/,
    )
    expect(await setUp({ dir, api }, '--name', 'another')).toMatchObject({ code: 0 })
  })

  test('setup waits as a rate limit says, also where something is created, and makes it once', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    const limit = {
      status: 429,
      code: 971,
      message: 'Please wait and consider throttling your request speed',
      headers: { 'Retry-After': '0' },
    }
    for (const path of [/verify/, /zones$/, /cfd_tunnel$/, /dns_records$/, /entrypoint$/]) api.fail({ path, ...limit })
    for (const path of [/cfd_tunnel$/, /rulesets$/, /dns_records$/]) api.fail({ method: 'POST', path, ...limit })
    expect(await setUp({ dir, api })).toMatchObject({ code: 0 })
    expect(api.calls.filter(({ status }) => status === 429)).toHaveLength(8)
    expect([api.account.tunnels.length, api.account.records.length]).toEqual([1, 1])
  })

  test('setup does not wait for long, and says when to come back', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    api.fail({
      path: /zones$/,
      status: 429,
      code: 971,
      message: 'slow down',
      headers: { 'Retry-After': '240' },
      times: 9,
    })
    const { code, stderr } = await setUp({ dir, api })
    expect(code).toBe(1)
    expect(stderr).toMatch(/rate limit is reached \(HTTP 429, code 971: slow down\); try again in 240 s/)
    expect(api.calls.filter(({ status }) => status === 429)).toHaveLength(1)
  })

  test('setup repeats what failed at Cloudflare when it changes nothing, and tells the Ray ID when it goes on failing', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    api.fail({
      path: /zones$/,
      status: 502,
      text: '<html>bad gateway</html>',
      headers: { 'Retry-After': '0' },
      times: 2,
    })
    expect(await setUp({ dir, api }, '--dry-run')).toMatchObject({ code: 0 })
    api.fail({ path: /zones$/, status: 503, headers: { 'Retry-After': '0' }, times: 9 })
    const { code, stderr } = await setUp({ dir, api })
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /Cloudflare reports an internal error \(HTTP 503, code 10001: Internal error, Ray ID 8f0000000000abcd-LHR\).*cloudflarestatus/,
    )
    expect(stderr).not.toMatch(/\n +at /)
  })

  test('setup does not repeat a creation that failed at Cloudflare', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    api.fail({ method: 'POST', path: /cfd_tunnel$/, status: 500, isDone: true, headers: { 'Retry-After': '0' } })
    expect(await setUp({ dir, api })).toMatchObject({ code: 1 })
    expect(api.changes()).toEqual(['POST /accounts/…/cfd_tunnel'])
  })

  test('setup tells when nobody answers', async () => {
    const api = await startCloudflareApi()
    await api[Symbol.asyncDispose]()
    await using dir = await createBurrowDir()
    const { code, stderr } = await setUp({ dir, api })
    expect(code).toBe(1)
    expect(stderr).toMatch(/127\.0\.0\.1:\d+ cannot be reached \(ECONNREFUSED\); check the network/)
  })

  test('setup follows no redirect', async () => {
    await using api = await startCloudflareApi()
    await using evil = await startCloudflareApi()
    await using dir = await createBurrowDir()
    api.fail({ path: /./, status: 307, headers: { Location: `${evil.url}/user/tokens/verify` }, times: 99 })
    expect(await setUp({ dir, api })).toMatchObject({ code: 1, stderr: expect.stringContaining('HTTP 307') })
    expect(evil.calls).toEqual([])
  })

  test.each([
    ['no JSON', 'hello'],
    ['another shape', '{"success":true,"result":{"id":5}}'],
    ['no result', '{"success":true,"result":null}'],
  ])('setup does not take %s for an answer', async (_what, text) => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    api.fail({ path: /verify/, status: 200, text, times: 9 })
    const { code, stderr } = await setUp({ dir, api })
    expect(code).toBe(1)
    expect(stderr).toMatch(/unexpected reply from 127\.0\.0\.1:\d+/)
  })

  test('setup prints what comes from the account as harmless text', async () => {
    await using api = await startCloudflareApi({
      ...createAccount(),
      zones: [createZone('example.org', { account: { id: 'a'.repeat(32), name: 'Evil\u001b[2J\nLtd' } })],
    })
    await using dir = await createBurrowDir()
    const { stdout } = await setUp({ dir, api }, '--dry-run')
    expect(stdout).toContain('Evil [2J Ltd')
    expect(stdout).not.toContain('\u001b')
  })

  test('setup reads all pages', async () => {
    const account = createAccount()
    account.zones.unshift(...Array.from({ length: 120 }, () => createZone('example.org', { status: 'moved' })))
    await using api = await startCloudflareApi(account)
    await using dir = await createBurrowDir()
    expect(await setUp({ dir, api }, '--dry-run')).toMatchObject({ code: 0 })
    expect(
      api.calls
        .filter(({ path, query }) => path === '/zones' && query.includes('name=example.org'))
        .map(({ query }) => new URLSearchParams(query).get('page')),
    ).toEqual([null, '2', '3', '4'])
  })
})
