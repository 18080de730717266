/** `burrow doctor` as a whole: a real Burrow with a real Nix store, and what can be wrong on the machine itself. */
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { doctorCommand } from '../../appliance/commands/doctor.ts'
import type { Finding } from '../../appliance/doctor/finding.ts'
import { checkClock } from '../../appliance/doctor/machine-checks.ts'
import { openListener } from '../../appliance/server/listener.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { type Served, serve, writeConfig } from './burrow.ts'
import { runCommand } from './run-command.ts'
import { sampleDepot, sampleReport } from './sample-report.ts'
import { createScratchDir, type ScratchDir } from './scratch-dir.ts'

const env = (dir: ScratchDir) => ({ STATE_DIRECTORY: dir.file('state') })
const run = (dir: ScratchDir, ...args: string[]) =>
  runCommand(doctorCommand, ['doctor', ...args], { dir, env: env(dir) })

async function findings(dir: ScratchDir, ...args: string[]): Promise<readonly Finding[]> {
  return JSON.parse((await run(dir, '--json', ...args)).stdout).findings
}

const gradeOf = (all: readonly Finding[], check: string) =>
  all.filter((finding) => finding.check === check).map(({ grade }) => grade)
const find = (all: readonly Finding[], check: string) => all.find((finding) => finding.check === check)
const users = ['ben:secret']

describe('burrow doctor of a Burrow that serves', () => {
  let nix: NixFixture
  let store: ScratchStore
  let dir: ScratchDir
  let served: Served

  beforeAll(async () => {
    nix = await openNixFixture()
    store = await nix.openStore()
    await store.addFile('hello', randomBytes(2000))
    dir = await createScratchDir()
    await writeConfig(dir, {
      users,
      tunnel: 'off',
      store: { realDir: store.realStoreDir },
      larder: { maxBytes: '1 MiB' },
    })
    served = await serve(dir, env(dir))
  })

  afterAll(async () => {
    await served?.[Symbol.asyncDispose]()
    await dir?.[Symbol.asyncDispose]()
    await nix?.[Symbol.asyncDispose]()
  })

  test('finds nothing broken, on the machine and through its URL, down to the bytes of a NAR', async () => {
    const { code, stdout, stderr } = await run(dir, '--url', served.url)
    expect(stdout).not.toMatch(/^FAIL/m)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const check of [
      'config',
      'state',
      'key',
      'users',
      'store',
      'server',
      'larder',
      'tunnel',
      'origin',
      'public host',
      'password',
      'public key',
    ]) {
      expect(stdout).toMatch(new RegExp(`^ok    ${check} `, 'm'))
    }
    expect(stdout).toMatch(/^ok {4}narinfo +\S{32}-hello is the same as on this machine/m)
    expect(stdout).toMatch(/^ok {4}download +NARs can be downloaded, and interrupted downloads can be resumed/m)
    expect(stdout).toMatch(/^ok {4}edge cache/m)
    expect(stdout).not.toContain('secret\n')
  })

  test('tells a password that is refused, on the machine and through its URL', async () => {
    await writeFile(dir.file('wrong.txt'), 'wrong\n')
    const all = await findings(dir, '--url', served.url, '--password-file', 'wrong.txt')
    expect(gradeOf(all, 'origin')).toEqual(['fail'])
    expect(find(all, 'password')).toMatchObject({ grade: 'fail', fault: 'password-refused' })
  })

  test('tells that the key in the state directory is not the one served', async () => {
    await writeFile(
      dir.file('other.json'),
      JSON.stringify({ listen: new URL(served.url).host, users, signing: { name: 'other-1' }, tunnel: 'off' }),
    )
    const { code, stdout } = await runCommand(
      doctorCommand,
      ['--config', 'other.json', 'doctor', '--url', served.url],
      { dir, env: env(dir) },
    )
    expect(code).toBe(1)
    expect(stdout).toMatch(/^FAIL {2}public key +the served key is "burrow-\S+" *, not the configured "other-1:/m)
    expect(stdout).toMatch(/^warn {2}server +the running Burrow uses config/m)
  })
})

describe('burrow doctor of a machine', () => {
  test('says that Burrow is not running, and tells no password to whoever listens in its place', async () => {
    await using dir = await createScratchDir()
    const asked: unknown[] = []
    const server = createServer((request, response) => {
      asked.push(request.headers.authorization)
      response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="burrow"' }).end()
    })
    await using impostor = await openListener(server, { kind: 'tcp', host: '127.0.0.1', port: 0 }, { drainMs: 0 })
    await writeConfig(dir, { users, listen: impostor.url.replace('http://', ''), tunnel: 'off' })
    const all = await findings(dir)
    expect(find(all, 'server')).toMatchObject({ grade: 'fail', remedy: 'start it with "burrow serve"' })
    expect(gradeOf(all, 'origin')).toEqual(['warn'])
    expect(asked).toEqual([undefined])
  })

  test('no password goes where a port that anybody may have taken sends it, unless that is asked for', async () => {
    await using dir = await createScratchDir()
    const asked: unknown[] = []
    const collector = createServer((request, response) => {
      asked.push(request.headers.authorization)
      response
        .writeHead(401, { 'WWW-Authenticate': 'Basic realm="burrow"', 'Cache-Control': 'no-store' })
        .end('Unauthorized\n')
    })
    await using place = await openListener(collector, { kind: 'tcp', host: '127.0.0.1', port: 0 }, { drainMs: 0 })
    const report = { ...sampleReport, publicUrl: place.url, origin: { ...sampleReport.origin, url: place.url } }
    const server = createServer((_request, response) => response.end(JSON.stringify(report)))
    await using operator = await openListener(server, { kind: 'tcp', host: '127.0.0.1', port: 0 }, { drainMs: 0 })
    await writeConfig(dir, { users, tunnel: 'off', operator: operator.url.replace('http://', '') })
    expect(find(await findings(dir), 'password')).toMatchObject({
      grade: 'warn',
      what: expect.stringContaining('is a TCP port'),
    })
    expect(new Set(asked)).toEqual(new Set([undefined]))
    await findings(dir, '--user', 'ben')
    expect(asked).toContain(`Basic ${btoa('ben:secret')}`)
  })

  test('a wrong config is told, each problem on a line, and 1 is the exit code', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, { users: [{ name: 'a:b', password: '' }], larderr: false })
    const { code, stdout, stderr } = await run(dir)
    expect(stdout.match(/^FAIL {2}config .*$/gm)?.length).toBeGreaterThan(1)
    expect(code).toBe(1)
    expect(stderr).toMatch(/^\d checks failed\n$/)
  })

  test('users that have expired are named, and that nobody is left', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, { users: [{ name: 'ben', password: 'x', expires: '2020-01-01T00:00:00Z' }], tunnel: 'off' })
    expect((await findings(dir)).filter(({ check }) => check === 'users')).toMatchObject([
      { grade: 'warn', what: expect.stringMatching(/^"ben" expired \d+ days ago$/) },
      { grade: 'fail', what: 'no user may pull' },
    ])
  })

  test('a state directory and a key that others can read, a damaged key, a store and a larder that are not there', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('larder'), '')
    await writeFile(dir.file('key'), 'cache-1:AAAA')
    await writeConfig(dir, {
      users,
      tunnel: 'off',
      signing: { keyFiles: ['key'] },
      store: { realDir: dir.file('none') },
      larder: { dir: 'larder/x' },
    })
    await mkdir(dir.file('state'), { mode: 0o700 })
    await writeFile(dir.file('state/secret-key'), 'x', { mode: 0o600 })
    await chmod(dir.file('state'), 0o755)
    const all = await findings(dir)
    expect(find(all, 'state')).toMatchObject({ grade: 'fail', remedy: `run "chmod 700 ${dir.file('state')}"` })
    expect(find(all, 'files')?.what).toContain('/signing/keyFiles/0')
    expect([gradeOf(all, 'store'), gradeOf(all, 'larder')]).toEqual([['fail'], ['fail']])
  })

  test('a larder that may outgrow its disk is told', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, { users, tunnel: 'off', larder: { dir: 'larder', maxBytes: '8000 TiB' } })
    expect(find(await findings(dir), 'larder')).toMatchObject({
      grade: 'warn',
      what: expect.stringContaining('may grow to 7.8 PiB'),
    })
  })

  test('where only hashes are known it says so, and takes a password from a file', async () => {
    await using dir = await createScratchDir()
    const passwordHash =
      '$argon2id$v=19$m=65536,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    await writeConfig(dir, { users: [{ name: 'ben', passwordHash }], tunnel: 'off' })
    const asked: unknown[] = []
    const server = createServer((request, response) => {
      asked.push(request.headers.authorization)
      response
        .writeHead(401, { 'WWW-Authenticate': 'Basic realm="burrow"', 'Cache-Control': 'no-store' })
        .end('Unauthorized\n')
    })
    await using edge = await openListener(server, { kind: 'tcp', host: '127.0.0.1', port: 0 }, { drainMs: 0 })
    expect(find(await findings(dir, '--url', edge.url), 'password')).toMatchObject({
      grade: 'warn',
      what: expect.stringContaining('only password hashes'),
    })
    expect(asked).not.toContain(`Basic ${btoa('ben:s')}`)
    await writeFile(dir.file('p'), 's\n')
    expect(find(await findings(dir, '--url', edge.url, '--password-file', 'p'), 'password')).toMatchObject({
      fault: 'password-refused',
    })
    expect(asked).toContain(`Basic ${btoa('ben:s')}`)
  })

  test('a wrong --url and a password without a user are told before anything is done', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, { users: ['a:b', 'c:d'] })
    expect(await run(dir, '--url', 'https://ben:secret@cache.example.org')).toMatchObject({ code: 2, stdout: '' })
    await writeFile(dir.file('p'), 's\n')
    expect(await run(dir, '--password-file', 'p')).toMatchObject({ code: 2 })
  })
})

describe('burrow doctor of a cache that is pushed to', () => {
  const pushers = [{ name: 'ci', password: 'secret', access: ['pull', 'push'] }]
  const all = (found: readonly Finding[], check: string) => found.filter((finding) => finding.check === check)

  test('says who may push, what room the depot has, and that no Nix store is needed', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, {
      users: pushers,
      tunnel: 'off',
      store: { realDir: dir.file('none') },
      depot: { maxBytes: '1 MiB', keepFree: 0 },
    })
    const found = await findings(dir)
    expect(find(found, 'store')).toMatchObject({
      grade: 'ok',
      what: expect.stringContaining('only pushed paths are served'),
    })
    expect(find(found, 'depot')).toMatchObject({
      grade: 'ok',
      what: expect.stringMatching(/state\/depot: 0 B of 1\.0 MiB, .* free on its disk$/),
    })
    expect(find(found, 'push')).toMatchObject({ grade: 'ok', what: 'users who may push: ci' })
  })

  test('a disk without room for the depot, and a depot that cannot be written', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, { users: pushers, tunnel: 'off', depot: { maxBytes: '8000 TiB', keepFree: 0 } })
    expect(find(await findings(dir), 'depot')).toMatchObject({
      grade: 'warn',
      what: expect.stringContaining('may grow to 7.8 PiB'),
    })
    await writeConfig(dir, { users: pushers, tunnel: 'off', depot: { keepFree: '8000 TiB' } })
    expect(find(await findings(dir), 'depot')).toMatchObject({
      grade: 'fail',
      what: expect.stringContaining('is almost full'),
    })
    await writeFile(dir.file('depot'), '')
    await writeConfig(dir, { users: pushers, tunnel: 'off', depot: { dir: 'depot/x' } })
    expect(find(await findings(dir), 'depot')).toMatchObject({
      grade: 'fail',
      what: expect.stringContaining('cannot write'),
    })
  })

  test('a depot that no user may push to, and none', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, { users, tunnel: 'off', depot: true })
    expect(all(await findings(dir), 'depot')[0]).toMatchObject({
      grade: 'warn',
      what: 'the depot is enabled, but no user may push',
    })
    await writeConfig(dir, { users, tunnel: 'off' })
    expect(find(await findings(dir), 'depot')).toMatchObject({ grade: 'ok', what: 'disabled: nothing can be pushed' })
  })

  test('what "nix copy" can send through the edge, with the symptom and the remedy', async () => {
    await using dir = await createScratchDir()
    const tunnel = { mode: 'token', token: 'x' }
    await writeConfig(dir, { users: pushers, tunnel })
    expect(find(await findings(dir), 'push')).toMatchObject({
      grade: 'ok',
      what: expect.stringContaining('burrow push --to URL PATH'),
    })
    await writeConfig(dir, { users: pushers, tunnel, push: { maxBodyBytes: '1 GiB' } })
    expect(find(await findings(dir), 'push')).toMatchObject({
      grade: 'warn',
      what: expect.stringContaining('HTTP error 413'),
      remedy: expect.stringContaining('burrow push --to URL PATH'),
    })
  })

  test('what the running Burrow tells of its depot: damage, and a push that failed for want of room', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, {
      users: pushers,
      operator: `unix:${dir.file('op.sock')}`,
      tunnel: 'off',
      depot: { maxBytes: '1 MiB', keepFree: 0 },
    })
    const depot = { ...sampleDepot.depot!, usedBytes: 1, damaged: 2, shortage: 'no space left' }
    const report = { ...sampleReport, stores: [{ ...sampleDepot, depot }], publicUrl: null }
    const server = createServer((_request, response) => response.end(JSON.stringify(report)))
    await using _operator = await openListener(server, { kind: 'unix', path: dir.file('op.sock') }, { drainMs: 0 })
    expect(all(await findings(dir), 'depot')).toMatchObject([
      { grade: 'ok' },
      { grade: 'warn', what: 'the last push failed for lack of space: no space left' },
      { grade: 'fail', what: expect.stringContaining('2 NARs of the depot missing or damaged') },
    ])
  })

  test('an upstream that answers, one that does not, one that refuses, and one that is none', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('password'), 'secret\n')
    const server = createServer((request, response) => {
      const { url = '', headers } = request
      if (url === '/private/nix-cache-info' && headers.authorization !== `Basic ${btoa('office:secret')}`)
        response.writeHead(401).end()
      else if (url === '/page/nix-cache-info') response.end('<html>')
      else response.end('StoreDir: /nix/store\n')
    })
    await using upstream = await openListener(server, { kind: 'tcp', host: '127.0.0.1', port: 0 }, { drainMs: 0 })
    const publicKeys = ['a-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=']
    const login = { user: 'office', passwordFile: 'password' }
    const upstreams = [
      { url: upstream.url, publicKeys },
      { url: `${upstream.url}/private`, publicKeys, ...login },
      { url: `${upstream.url}/private`, publicKeys },
      { url: `${upstream.url}/page`, publicKeys },
      { url: 'http://127.0.0.1:1', publicKeys },
      { url: upstream.url, publicKeys, ...login, passwordFile: 'none' },
    ]
    await writeConfig(dir, { users, tunnel: 'off', upstreams })
    expect(all(await findings(dir), 'upstream')).toMatchObject([
      { grade: 'ok', what: `${upstream.url}/ answers` },
      { grade: 'ok', what: `${upstream.url}/private answers` },
      { grade: 'fail', what: expect.stringContaining('refuses this cache (401)') },
      { grade: 'fail', what: expect.stringContaining('is not a binary cache') },
      { grade: 'warn', what: expect.stringContaining('does not answer (ECONNREFUSED') },
      { grade: 'fail', what: expect.stringContaining('the password for') },
    ])
  })
})

describe('burrow doctor of a tunnel', () => {
  test.each([
    ['connected', 'ok'],
    ['starting', 'warn'],
    ['degraded', 'warn'],
    ['reconnecting', 'warn'],
    ['missing-binary', 'fail'],
    ['backing-off', 'fail'],
    ['failed', 'fail'],
    ['off', 'fail'],
  ])('%s is %s, with its reason and remedy', async (state, grade) => {
    await using dir = await createScratchDir()
    await writeConfig(dir, { users, operator: `unix:${dir.file('op.sock')}`, tunnel: { mode: 'token', token: 'x' } })
    const tunnel = {
      ...sampleReport.tunnel,
      state,
      reason: 'the reason',
      remedy: 'the remedy',
      lastError: 'the last error',
    }
    const report = {
      ...sampleReport,
      tunnel,
      publicUrl: null,
      origin: { ...sampleReport.origin, url: 'http://127.0.0.1:1' },
    }
    const server = createServer((_request, response) => response.end(JSON.stringify(report)))
    await using _operator = await openListener(server, { kind: 'unix', path: dir.file('op.sock') }, { drainMs: 0 })
    const all = await findings(dir)
    expect(find(all, 'tunnel')).toMatchObject({
      grade,
      ...(grade === 'ok' ? {} : { what: expect.stringContaining('the reason'), remedy: 'the remedy' }),
    })
    expect(find(all, 'public host')).toMatchObject({ grade: 'warn', what: expect.stringContaining('is not known') })
  })
})

describe('checkClock', () => {
  const edgeMs = Date.parse('2030-01-01T12:00:00Z')
  const ask = async () =>
    ({
      kind: 'answer',
      status: 200,
      httpVersion: '1.1',
      headers: { date: new Date(edgeMs).toUTCString() },
      body: Buffer.alloc(0),
      isWhole: true,
    }) as const

  async function gradesAt(nowMs: number, jumpMs = 0, asked: typeof ask | undefined = ask) {
    const all: Finding[] = []
    for await (const finding of checkClock({ now: () => nowMs, monotonicNow: () => 5 }, jumpMs, asked))
      all.push(finding)
    return all.map(({ grade, what }) => `${grade} ${what}`)
  }

  test('a clock within a minute of the edge is right', async () => {
    expect(await gradesAt(edgeMs + 30_000)).toEqual(['ok agrees with the edge'])
  })

  test('a clock further off is told, in which direction', async () => {
    expect(await gradesAt(edgeMs + 600_500)).toEqual(["warn the clock is 10 min ahead of the edge's"])
    expect(await gradesAt(edgeMs - 119_500)).toEqual(["warn the clock is 2 min behind the edge's"])
  })

  test('a clock of the past is broken, and one that is being set is told', async () => {
    expect((await gradesAt(0))[0]).toMatch(/^fail the clock shows 1970/)
    expect((await gradesAt(edgeMs, -60_000, undefined))[0]).toMatch(/^warn the clock was set by -60 s/)
  })
})
