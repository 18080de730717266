import { readdirSync } from 'node:fs'
import { chmod, chown, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { describe, expect, test } from '@jest/globals'

import {
  createAccount,
  createConnector,
  createRecord,
  createRule,
  createTunnel,
  toTunnelToken,
} from '../../fixtures/cloudflare-account.ts'
import { startCloudflareApi } from '../../fixtures/cloudflare-api.ts'
import { createBurrowDir, hostname, runTunnel, setUp } from './tunnel-program.ts'

const service = 'http://127.0.0.1:8080'
const parse = async (file: string) => JSON.parse(await readFile(file, 'utf8'))
const modeOf = async (file: string) => ((await stat(file)).mode & 0o777).toString(8)

describe('burrow tunnel setup', () => {
  test('setup makes tunnel, ingress, rule, record, token and setting, and notes what it made', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    const { code, stdout } = await setUp({ dir, api })
    expect(code).toBe(0)
    expect(stdout.match(/^ {2}create /gm)).toHaveLength(6)

    const { tunnels, records, rulesets, zones } = api.account
    const [tunnel] = tunnels
    expect(tunnel).toMatchObject({
      name: 'burrow-cache-example-org',
      config_src: 'cloudflare',
      configuration: { ingress: [{ hostname, service }, { service: 'http_status:404' }] },
    })
    const target = `${tunnel!.id}.cfargotunnel.com`
    expect(records).toEqual([
      expect.objectContaining({
        type: 'CNAME',
        name: hostname,
        content: target,
        proxied: true,
        comment: 'Made by "burrow tunnel setup"',
      }),
    ])
    expect(rulesets).toHaveLength(1)
    const rule = {
      action: 'set_cache_settings',
      action_parameters: { cache: false },
      expression: '(http.host eq "cache.example.org")',
      enabled: true,
    }
    expect(rulesets[0]!.rules).toEqual([expect.objectContaining(rule)])

    const tokenFile = dir.file('state/tunnel-token')
    expect(await readFile(tokenFile, 'utf8')).toBe(`${toTunnelToken(tunnel!)}\n`)
    expect((await parse(dir.file('burrow.json'))).tunnel).toEqual({ mode: 'token', tokenFile, hostname })
    expect(await parse(dir.file('state/cloudflare.json'))).toMatchObject({
      hostname,
      tunnel: { id: tunnel!.id, isMade: true },
      zone: { id: zones[0]!.id },
    })
    for (const file of [tokenFile, dir.file('state/cloudflare.json'), dir.file('burrow.json')])
      expect(await modeOf(file)).toBe('600')
    expect(await modeOf(dir.file('state'))).toBe('700')
  })

  test('setup puts the token among the credentials of a service, where there are any, and the config still finds it', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await mkdir(dir.file('credentials'), { mode: 0o700 })
    const { code, stdout } = await setUp({ dir, api })
    expect(code).toBe(0)
    expect(stdout).toContain('run "burrow install-service" again')
    expect((await parse(dir.file('burrow.json'))).tunnel.tokenFile).toBe(
      `\${CREDENTIALS_DIRECTORY:-${dir.file('credentials')}}/tunnel-token`,
    )
    expect(await readFile(dir.file('credentials/tunnel-token'), 'utf8')).toBe(
      `${toTunnelToken(api.account.tunnels[0]!)}\n`,
    )
    expect(await modeOf(dir.file('credentials/tunnel-token'))).toBe('600')
    expect((await runTunnel(['setup'], { dir, api })).stdout).toContain('nothing was changed')
  })

  test('setup changes nothing the second time, and says so, without being told the name', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await setUp({ dir, api })
    const config = await readFile(dir.file('burrow.json'), 'utf8')
    const changes = api.changes()
    const { code, stdout } = await runTunnel(['setup'], { dir, api })
    expect(code).toBe(0)
    expect(stdout).toContain('nothing was changed')
    expect(stdout.match(/^ {2}keep /gm)).toHaveLength(6)
    expect(api.changes()).toEqual(changes)
    expect(await readFile(dir.file('burrow.json'), 'utf8')).toBe(config)
  })

  test('setup --dry-run shows the plan and changes nothing, here or there', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    const { code, stdout } = await setUp({ dir, api }, '--dry-run')
    expect(code).toBe(0)
    expect(stdout).toMatch(/create +tunnel[\s\S]*--dry-run/)
    expect(api.changes()).toEqual([])
    expect(readdirSync(dir.path)).toEqual(['burrow.json'])
  })

  test('setup without --yes changes nothing where nobody can be asked', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    const { code, stderr } = await runTunnel(['setup', '--hostname', hostname], { dir, api })
    expect(code).toBe(2)
    expect(stderr).toContain('--yes')
    expect(api.changes()).toEqual([])
  })

  test('setup keeps what else the config says, its layout, options of the tunnel and its mode', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    const text = `{ "users": ["ana:secret"],\n\n  "tunnel": { "protocol": "quic", "mode": "credentials", "credentialsFile": "c.json", "hostname": "old.example.org" },\n  "state": {"dir": "state"} }\n`
    await writeFile(dir.file('burrow.json'), text)
    await chmod(dir.file('burrow.json'), 0o640)
    const { code, stdout } = await setUp({ dir, api })
    expect(code).toBe(0)
    expect(stdout).toMatch(/change +config/)
    const changed = await readFile(dir.file('burrow.json'), 'utf8')
    const tunnel = { protocol: 'quic', mode: 'token', hostname, tokenFile: dir.file('state/tunnel-token') }
    expect(JSON.parse(changed)).toEqual({ users: ['ana:secret'], tunnel, state: { dir: 'state' } })
    expect(changed.startsWith('{ "users": ["ana:secret"],\n\n  "tunnel": {')).toBe(true)
    expect(changed.endsWith(',\n  "state": {"dir": "state"} }\n')).toBe(true)
    expect(await modeOf(dir.file('burrow.json'))).toBe('640')
  })

  test('setup stores the token where the config says, by the text that stands there', async () => {
    await using api = await startCloudflareApi()
    const tokenFile = '${SECRETS:-/nowhere}/token'
    await using dir = await createBurrowDir({ listen: 'unix:/run/burrow.sock', tunnel: { mode: 'token', tokenFile } })
    expect(await setUp({ dir, api, env: { SECRETS: dir.path } })).toMatchObject({ code: 0 })
    expect((await parse(dir.file('burrow.json'))).tunnel).toEqual({ mode: 'token', tokenFile, hostname })
    expect(await readFile(dir.file('token'), 'utf8')).toBe(`${toTunnelToken(api.account.tunnels[0]!)}\n`)
    expect(api.account.tunnels[0]!.configuration).toMatchObject({ ingress: [{ service: 'unix:/run/burrow.sock' }, {}] })
  })

  const whenRoot = process.geteuid?.() === 0 ? test : test.skip
  whenRoot('setup as root leaves the config to its owner', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await chown(dir.file('burrow.json'), 65534, 65533)
    expect(await setUp({ dir, api })).toMatchObject({ code: 0 })
    expect(await stat(dir.file('burrow.json'))).toMatchObject({ uid: 65534, gid: 65533 })
  })

  test('setup follows a symbolic link to the config and leaves the link', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await mkdir(dir.file('real'))
    await writeFile(dir.file('real/b.json'), '{"users": ["a:b"], "state": {"dir": "state"}}')
    await symlink('real/b.json', dir.file('link.json'))
    expect(await runTunnel(['setup', '--hostname', hostname, '--yes', '-c', 'link.json'], { dir, api })).toMatchObject({
      code: 0,
    })
    expect(await parse(dir.file('real/b.json'))).toHaveProperty('tunnel.mode', 'token')
  })

  test('setup takes over a tunnel of that name, keeps its other host names, and says that it will stay', async () => {
    const git = { hostname: 'git.example.org', service: 'http://127.0.0.1:3000', originRequest: { noTLSVerify: true } }
    const configuration = { ingress: [git, { service: 'http_status:404' }], 'warp-routing': { enabled: true } }
    const tunnel = createTunnel('home', { configuration, connectors: [createConnector(1)] })
    await using api = await startCloudflareApi({ ...createAccount(), tunnels: [createTunnel('home-two'), tunnel] })
    await using dir = await createBurrowDir()
    const { code, stdout } = await setUp({ dir, api }, '--name', 'home')
    expect(code).toBe(0)
    expect(stdout).toMatch(/adopt +tunnel +"home".*teardown will keep it; it has 1 connection: another machine runs it/)
    expect(stdout).toMatch(/create +ingress.*kept: git\.example\.org/)
    expect(api.account.tunnels).toHaveLength(2)
    expect(tunnel.configuration).toEqual({
      ...configuration,
      ingress: [git, { hostname, service }, { service: 'http_status:404' }],
    })
  })

  test('setup refuses a tunnel that a file manages', async () => {
    await using api = await startCloudflareApi({
      ...createAccount(),
      tunnels: [createTunnel('burrow-cache-example-org', { config_src: 'local' })],
    })
    await using dir = await createBurrowDir()
    const { code, stderr } = await setUp({ dir, api })
    expect(code).toBe(1)
    expect(stderr).toMatch(/managed by a config file on a machine; choose another tunnel with --name/)
    expect(api.changes()).toEqual([])
  })

  test('setup adds its rule after those of others and touches none', async () => {
    const account = createAccount()
    const theirs = createRule({
      description: 'cache all',
      expression: 'true',
      action: 'set_cache_settings',
      action_parameters: { cache: true },
    })
    account.rulesets.push({ id: 'f'.repeat(32), zoneId: account.zones[0]!.id, rules: [theirs] })
    await using api = await startCloudflareApi(account)
    await using dir = await createBurrowDir()
    const before = structuredClone(theirs)
    expect(await setUp({ dir, api })).toMatchObject({ code: 0 })
    expect(account.rulesets).toHaveLength(1)
    expect(account.rulesets[0]!.rules).toEqual([
      before,
      expect.objectContaining({ action_parameters: { cache: false } }),
    ])
  })

  test('setup makes no cache rule where "edgeCache" is "allow", and takes its own away when that is set later', async () => {
    const isPublic = { users: undefined, public: true }
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir(isPublic)
    await setUp({ dir, api })
    expect(api.account.rulesets[0]!.rules).toHaveLength(1)
    const setEdgeCache = async (edgeCache: string) =>
      writeFile(dir.file('burrow.json'), JSON.stringify({ ...(await parse(dir.file('burrow.json'))), edgeCache }), {
        mode: 0o600,
      })
    await setEdgeCache('allow')
    expect((await runTunnel(['status'], { dir, api })).stdout).toMatch(/DIFFERS +rule .*prevents caching/)
    const { code, stdout } = await setUp({ dir, api })
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(
        /delete +rule .*"edgeCache" in the config is "allow"[\s\S]*Note: .*terms about large files/,
      ),
    ])
    expect(api.account.rulesets).toEqual([])
    expect(await parse(dir.file('state/cloudflare.json'))).not.toHaveProperty('rule')
    expect((await setUp({ dir, api })).stdout).toMatch(/keep +rule +none.*[\s\S]*nothing was changed/)
    expect(await runTunnel(['status'], { dir, api })).toMatchObject({ code: 0 })
    await setEdgeCache('deny')
    expect(await setUp({ dir, api })).toMatchObject({ code: 0, stdout: expect.stringMatching(/create +rule/) })
    expect(api.account.rulesets[0]!.rules).toHaveLength(1)
  })

  test('setup leaves a rule of somebody else that bypasses the cache although "edgeCache" is "allow", and status names it', async () => {
    const account = createAccount()
    const bypass = {
      expression: `(http.host eq "${hostname}")`,
      action: 'set_cache_settings',
      action_parameters: { cache: false },
    }
    const theirs = createRule({ ...bypass, description: 'mine' })
    account.rulesets.push({ id: 'f'.repeat(32), zoneId: account.zones[0]!.id, rules: [theirs] })
    await using api = await startCloudflareApi(account)
    await using dir = await createBurrowDir({ users: undefined, public: true, edgeCache: 'allow' })
    expect((await setUp({ dir, api })).stdout).toMatch(/leave +rule +"mine", not created by Burrow/)
    expect(account.rulesets[0]!.rules).toEqual([theirs])
    const { code, stdout } = await runTunnel(['status'], { dir, api })
    expect([code, stdout]).toEqual([
      1,
      expect.stringMatching(/DIFFERS +rule [\s\S]*-> remove that rule .*"edgeCache": "deny"/),
    ])
  })

  test.each([
    ['A', '192.0.2.1'],
    ['AAAA', '2001:db8::1'],
    ['CNAME', 'elsewhere.example.net'],
  ])('setup refuses a host name that has an %s record, quoting it, until it may replace it', async (type, content) => {
    const account = createAccount()
    const record = createRecord(account.zones[0]!, { name: hostname, type, content, proxied: true })
    account.records.push(
      record,
      createRecord(account.zones[0]!, { name: hostname, type: 'TXT', content: 'v=spf1 -all' }),
    )
    await using api = await startCloudflareApi(account)
    await using dir = await createBurrowDir()
    const refused = await setUp({ dir, api })
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain(`${type} ${content} (proxied)`)
    expect(refused.stderr).toContain('--replace-record')
    expect(api.changes()).toEqual([])

    const { code, stdout } = await setUp({ dir, api }, '--replace-record')
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`change +record +${type} ${content}`))
    expect(account.records.map((each) => each.type)).toEqual(['TXT', 'CNAME'])
    expect(api.changes()).toContain('POST /zones/…/dns_records/batch')
    // In its place: a record that is deleted first could be missed at an edge before the new one is there.
    expect(account.records.at(-1)!.id).toBe(record.id)
    expect(api.calls.find(({ path }) => path.endsWith('/batch'))!.body).toEqual({
      puts: [expect.objectContaining({ id: record.id, type: 'CNAME' })],
    })
    expect(await runTunnel(['setup'], { dir, api })).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('nothing was changed'),
    })
  })

  test('setup --replace-record makes one record out of several', async () => {
    const account = createAccount()
    const [zone] = account.zones
    const records = ['A', 'AAAA', 'HTTPS'].map((type) => createRecord(zone!, { name: hostname, type, content: type }))
    account.records.push(...records)
    await using api = await startCloudflareApi(account)
    await using dir = await createBurrowDir()
    expect(await setUp({ dir, api }, '--replace-record')).toMatchObject({ code: 0 })
    expect(account.records).toEqual([expect.objectContaining({ id: records[0]!.id, type: 'CNAME', proxied: true })])
  })

  test('setup goes on after each failure, whichever it was, and makes nothing twice', async () => {
    const steps = [/cfd_tunnel$/, /configurations$/, /rulesets$/, /dns_records$/, /token$/]
    for (const path of steps) {
      await using api = await startCloudflareApi()
      await using dir = await createBurrowDir()
      api.fail({
        method: path.source.startsWith('token') ? 'GET' : path.source.startsWith('conf') ? 'PUT' : 'POST',
        path,
        status: 403,
        code: 10000,
        message: 'Authentication error',
      })
      const { code, stderr } = await setUp({ dir, api })
      expect(code).toBe(1)
      expect(stderr).toMatch(/Done: .*\. Not done: .*config\. Run the same command again/)
      expect(await setUp({ dir, api })).toMatchObject({ code: 0 })
      const { tunnels, records, rulesets } = api.account
      expect([tunnels.length, records.length, rulesets.length, rulesets[0]!.rules.length]).toEqual([1, 1, 1, 1])
      expect(await parse(dir.file('state/cloudflare.json'))).toMatchObject({
        tunnel: { isMade: true },
        record: { isMade: true },
        rule: { isMade: true },
      })
    }
  })

  test('setup finds again what was made although the answer was lost, as its own', async () => {
    for (const path of [/cfd_tunnel$/, /rulesets$/, /dns_records$/]) {
      await using api = await startCloudflareApi()
      await using dir = await createBurrowDir()
      api.fail({ method: 'POST', path, isDone: true, isCut: true })
      const { code, stderr } = await setUp({ dir, api })
      expect(code).toBe(1)
      expect(stderr).toContain('cannot be reached')
      expect(await setUp({ dir, api })).toMatchObject({ code: 0 })
      const { tunnels, records, rulesets } = api.account
      expect([tunnels.length, records.length, rulesets[0]!.rules.length]).toEqual([1, 1, 1])
      expect(await parse(dir.file('state/cloudflare.json'))).toMatchObject({
        tunnel: { isMade: true },
        record: { isMade: true },
        rule: { isMade: true },
      })
    }
  })

  test('setup refuses another host name until the first is taken away', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    await setUp({ dir, api })
    const { code, stderr } = await runTunnel(['setup', '--hostname', 'two.example.org', '--yes'], { dir, api })
    expect(code).toBe(1)
    expect(stderr).toMatch(/set up as "cache\.example\.org".*burrow tunnel teardown/)
  })

  test.each([
    [['--hostname', 'https://cache.example.org'], 2, /--hostname/],
    [['--hostname', 'x") or (true'], 2, /--hostname/],
    [['--hostname', 'localhost'], 2, /--hostname/],
    [['--hostname', hostname, '--zone', 'example.com'], 2, /is not in this zone/],
    [['--hostname', hostname, '--api-url', 'http://evil.example.org/'], 2, /must begin with https/],
    [['--hostname', 'cache.example.net'], 1, /Cannot find a zone.*Zone > Zone: Read/],
    [[], 2, /--hostname/],
  ])('setup %j ends with %i', async (args, wanted, message) => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    const { code, stderr } = await runTunnel(['setup', ...args, '--yes'], { dir, api })
    expect(stderr).toMatch(message)
    expect(code).toBe(wanted)
    expect(api.changes()).toEqual([])
  })

  test.each([
    [{ listen: '127.0.0.1:0' }, /port changes with each start/],
    [undefined, /burrow init/],
  ])('setup with the config %j asks nobody anything', async (config, message) => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir(config)
    const { code, stderr } = await runTunnel(
      ['setup', '--hostname', hostname, '--yes', ...(config === undefined ? ['-c', 'none.json'] : [])],
      { dir, api },
    )
    expect(code).toBe(78)
    expect(stderr).toMatch(message)
    expect(api.calls).toEqual([])
  })
})
