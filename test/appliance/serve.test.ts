/** The real program, with a real store, real signals and a real Nix client. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { runBurrow, type Served, serve, serveBurrow, writeConfig } from './burrow.ts'
import { createScratchDir, type ScratchDir } from './scratch-dir.ts'

const defaults = ['serve', '--no-tunnel', '--listen', '127.0.0.1:0']

async function get(served: Served, path: string, auth = 'ben:secret'): Promise<IncomingMessage> {
  const [response] = (await once(request(new URL(path, served.url), { auth, agent: false }).end(), 'response')) as [
    IncomingMessage,
  ]
  return response
}

async function statusOf(served: Served, path: string, auth?: string): Promise<number | undefined> {
  const response = await get(served, path, auth)
  response.resume()
  return response.statusCode
}

describe('burrow serve without a config', () => {
  test('serve on a machine without a Nix store starts, says what it lacks, and serves what it can', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, { users: ['ben:secret'], store: { realDir: dir.file('nix/store') } })
    await using served = await serve(dir)
    expect(JSON.stringify(await served.logged(/no Nix store/i))).toContain(dir.file('nix/var/nix/db/db.sqlite'))
    expect(await statusOf(served, '/nix-cache-info')).toBe(200)
    expect(await statusOf(served, '/nix-cache-info', 'ben:wrong')).toBe(401)
    expect(await statusOf(served, `/${'0'.repeat(32)}.narinfo`)).toBe(503)
  })

  test('serve prints what a client needs, the same at the second start', async () => {
    await using dir = await createScratchDir()
    const env = { STATE_DIRECTORY: dir.file('state') }
    const printed: string[] = []
    for (let start = 1; start <= 2; start++) {
      await using served = await serveDefaults(dir, env)
      const setup = await served.printed(/^machine .*\n/m)
      const [, name, password] = /^machine 127\.0\.0\.1 login (\S+) password (\S+)$/m.exec(setup)!
      expect(await statusOf(served, '/nix-cache-info', `${name}:${password}`)).toBe(200)
      expect(await statusOf(served, '/nix-cache-info', `${name}:wrong`)).toBe(401)
      expect(JSON.stringify(served.records)).not.toContain(password)
      printed.push(setup.replaceAll(served.url, 'URL'))
      served.kill('SIGTERM')
      expect(await served.exited).toEqual({ code: 0, signal: null })
    }
    expect(printed[0]).toMatch(/^extra-trusted-public-keys = burrow-\S+-1:\S{44}$/m)
    expect(printed[1]).toBe(printed[0])
    // What it prints is enough to push.
    expect(printed[0]).toMatch(/^burrow push --to URL \.\/result$/m)
    const mode = async (name: string) => ((await stat(dir.file(name))).mode & 0o777).toString(8)
    expect([await mode('state'), await mode('state/secret-key'), await mode('state/state.json')]).toEqual([
      '700',
      '600',
      '600',
    ])
  })

  test('of two first starts at once one serves, and the other is refused', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, { users: ['ben:secret'], larder: false })
    const starts = await Promise.allSettled([serve(dir), serve(dir)])
    const served = starts.filter((start) => start.status === 'fulfilled')
    await using _served = served[0]!.value
    expect(served).toHaveLength(1)
    expect(String(starts.find((start) => start.status === 'rejected')!.reason)).toContain('Burrow is already running')
  })

  test('serve keeps the password out of the journal', async () => {
    await using dir = await createScratchDir()
    await using served = await serveDefaults(dir, { STATE_DIRECTORY: dir.file('state'), JOURNAL_STREAM: '8:1' })
    expect(await served.printed(/# To push: burrow client-config --user burrow --push\n/)).not.toMatch(/^machine/m)
    const { stdout } = await runBurrow(['client-config'], {
      cwd: dir.path,
      env: { STATE_DIRECTORY: dir.file('state') },
    })
    expect(stdout).toMatch(/^machine 127\.0\.0\.1 login burrow password \S{32}$/m)
  })

  const serveDefaults = (dir: ScratchDir, env: Record<string, string>) =>
    serveBurrow(['--no-tunnel', '--listen', '127.0.0.1:0'], { cwd: dir.path, env })
})

describe('burrow serve refuses to start', () => {
  test('serve ends with 1 when a Burrow with the same state directory runs, names its pid, and starts when that one was killed', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, { users: ['ben:secret'], larder: false })
    const first = await serve(dir)
    const { code, stderr, stdout } = await runBurrow(['serve', '--no-tunnel'], { cwd: dir.path })
    expect(stderr).toContain(
      `Burrow is already running, pid ${first.child.pid}: it uses state directory "${dir.file('.local/state/burrow')}"; stop it first`,
    )
    expect(stderr).not.toMatch(/\n +at /)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    // The other one still serves, and can be asked.
    expect(await statusOf(first, '/nix-cache-info')).toBe(200)
    expect((await runBurrow(['status'], { cwd: dir.path })).stdout).toContain(String(first.child.pid))
    first.kill('SIGKILL')
    await first.exited
    await using second = await serve(dir)
    expect(await statusOf(second, '/nix-cache-info')).toBe(200)
  })

  test('serve ends with 1 when the address is taken', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, { users: ['ben:secret'] })
    await using served = await serve(dir)
    const listen = new URL(served.url).host
    const { code, stderr } = await runBurrow(['serve', '--no-tunnel', '--listen', listen], {
      cwd: dir.path,
      env: { STATE_DIRECTORY: dir.file('other') },
    })
    expect(stderr).toContain(`Cannot listen on "${listen}": another process listens there`)
    expect(stderr).not.toMatch(/\n +at /)
    expect(code).toBe(1)
  })

  test('serve ends with 1 when its larder is something else, and leaves it alone', async () => {
    await using dir = await createScratchDir()
    await mkdir(dir.file('larder'))
    await writeFile(dir.file('larder/precious'), '')
    const { code, stderr } = await runBurrow(defaults, {
      cwd: dir.path,
      env: { STATE_DIRECTORY: dir.file('state'), CACHE_DIRECTORY: dir.path },
    })
    expect(stderr).toMatch(/"precious"[^\n]*Name an empty directory[^\n]*\n$/)
    expect({ code, left: await readdir(dir.file('larder')) }).toEqual({ code: 1, left: ['precious'] })
  })

  test('serve ends with 78 when the state directory is open to others', async () => {
    await using dir = await createScratchDir()
    await mkdir(dir.file('state'), { mode: 0o755 })
    await writeFile(dir.file('state/secret-key'), 'x', { mode: 0o600 })
    const { code, stderr } = await runBurrow(defaults, { cwd: dir.path, env: { STATE_DIRECTORY: dir.file('state') } })
    expect(stderr).toMatch(/chmod 700/)
    expect(code).toBe(78)
  })
})

describe('burrow serve with a store', () => {
  let nix: NixFixture
  let store: ScratchStore
  let big: { hashPart: string; size: number }

  beforeAll(async () => {
    nix = await openNixFixture()
    store = await nix.openStore()
    // More than socket buffers hold, so that a download can be held in the middle.
    const path = await store.addFile('big', randomBytes(48_000_000))
    big = { hashPart: path.slice('/nix/store/'.length).slice(0, 32), size: (await store.pathInfo(path)).narSize }
  })

  afterAll(async () => {
    await nix[Symbol.asyncDispose]()
  })

  const configOf = (change: object = {}) => ({
    users: ['ben:secret'],
    compression: 'none',
    store: { realDir: store.realStoreDir, daemonSocket: null },
    ...change,
  })

  async function openBigNar(served: Served): Promise<IncomingMessage> {
    const narInfo = (await buffer(await get(served, `/${big.hashPart}.narinfo`))).toString()
    const response = await get(served, `/${/^URL: (.+)$/m.exec(narInfo)![1]}`)
    expect(response.statusCode).toBe(200)
    await once(response, 'readable')
    return response
  }

  test('a real Nix client copies from it by the set-up it prints', async () => {
    await using dir = await createScratchDir()
    const closure = await store.buildClosure()
    await writeConfig(dir, configOf({ compression: 'zstd' }))
    await using served = await serve(dir)
    const { stdout } = await runBurrow(['client-config', '--url', served.url], { cwd: dir.path })
    await writeFile(dir.file('netrc'), stdout, { mode: 0o600 })
    const publicKey = /^extra-trusted-public-keys = (.+)$/m.exec(stdout)![1]!
    const to = await nix.openStore()
    await nix.copy({
      from: served.url,
      to,
      paths: [closure.app],
      netrc: dir.file('netrc'),
      trustedPublicKeys: [publicKey],
    })
    expect(await to.closureOf(closure.app)).toEqual(closure.appClosure)
    served.kill('SIGTERM')
    expect(await served.logged(/Sent small NARs/)).toMatchObject({
      user: 'ben',
      level: 'info',
      nars: closure.appClosure.length,
    })
  })

  test('SIGTERM lets a download finish, takes no new requests, and ends with 0', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, configOf())
    await using served = await serve(dir)
    const response = await openBigNar(served)
    served.kill('SIGTERM')
    await served.logged(/^Stopping/)
    // Or reset, when the kernel had taken the connection just before.
    await expect(get(served, '/nix-cache-info')).rejects.toThrow(/ECONNREFUSED|ECONNRESET/)
    expect((await buffer(response)).length).toBe(big.size)
    expect(await served.exited).toEqual({ code: 0, signal: null })
    expect(served.records.at(-1)!.msg).toBe('Stopped')
  })

  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('a second %s ends it at once with %i, whatever is under way', async (signal, wanted) => {
    await using dir = await createScratchDir()
    await writeConfig(dir, configOf())
    await using served = await serve(dir)
    const response = await openBigNar(served)
    const cut = buffer(response)
    cut.catch(() => {})
    response.pause()
    served.kill('SIGTERM')
    await served.logged(/^Stopping/)
    served.kill(signal)
    expect(await served.exited).toEqual({ code: wanted, signal: null })
    await expect(cut).rejects.toThrow()
  })

  test('SIGHUP puts users and keys in force without disturbing a download', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, configOf())
    await using served = await serve(dir)
    const response = await openBigNar(served)
    const { stdout: secret } = await runBurrow(['keygen', 'new-1'], { cwd: dir.path })
    await writeFile(dir.file('key'), secret, { mode: 0o600 })
    await writeFile(dir.file('page.html'), '<h1>Our cache</h1>')
    await writeConfig(
      dir,
      configOf({
        users: ['eve:other'],
        signing: { keyFiles: ['key'] },
        indexPage: 'page.html',
        log: { level: 'debug' },
        priority: 7,
      }),
    )
    served.kill('SIGHUP')
    expect(await served.logged(/^Reloaded/)).toMatchObject({ users: ['eve'], keys: ['new-1'] })
    expect(await served.logged(/need a restart/)).toMatchObject({ settings: ['priority'] })
    expect([
      await statusOf(served, '/nix-cache-info', 'ben:secret'),
      await statusOf(served, '/nix-cache-info', 'eve:other'),
    ]).toEqual([401, 200])
    expect((await buffer(await get(served, `/${big.hashPart}.narinfo`, 'eve:other'))).toString()).toMatch(
      /^Sig: new-1:/m,
    )
    expect((await buffer(await get(served, '/', 'eve:other'))).toString()).toBe('<h1>Our cache</h1>')
    expect(await served.logged(/^Answered/)).toMatchObject({ level: 'debug' })
    expect((await buffer(response)).length).toBe(big.size)
  })

  test('SIGHUP with a bad config is logged and changes nothing', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, configOf())
    await using served = await serve(dir)
    await writeFile(dir.file('burrow.json'), '{"users": ["eve:other"], "lisetn": 1}')
    served.kill('SIGHUP')
    expect(await served.logged(/the previous one stays in force/)).toMatchObject({
      level: 'error',
      reason: expect.stringContaining('/lisetn'),
    })
    expect([
      await statusOf(served, '/nix-cache-info', 'ben:secret'),
      await statusOf(served, '/nix-cache-info', 'eve:other'),
    ]).toEqual([200, 401])
  })

  test('the operator listener tells that it is ready, and what it did', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, configOf({ operator: `unix:${dir.file('operator.sock')}` }))
    await using served = await serve(dir)
    const ask = async (path: string) => {
      const [response] = (await once(
        request({ socketPath: dir.file('operator.sock'), path, headers: { host: 'localhost' } }).end(),
        'response',
      )) as [IncomingMessage]
      return `${response.statusCode} ${await buffer(response)}`
    }
    expect(await ask('/readyz')).toBe('200 ready\ntunnel: off\n')
    await statusOf(served, `/${big.hashPart}.narinfo`)
    expect(await ask('/metrics')).toMatch(/burrow_requests_total\{route="narinfo",status="200",complete="true"\} 1/)
    expect(((await stat(dir.file('operator.sock'))).mode & 0o777).toString(8)).toBe('600')
    served.kill('SIGTERM')
    await served.exited
    expect(await readdir(dir.path)).not.toContain('operator.sock')
  })

  test('readyz is ready again when the store is back, though no client asks', async () => {
    await using dir = await createScratchDir()
    const scratch = await nix.openStore()
    await rename(scratch.database, `${scratch.database}.away`)
    await writeConfig(
      dir,
      configOf({
        operator: `unix:${dir.file('operator.sock')}`,
        store: { realDir: scratch.realStoreDir, daemonSocket: null },
      }),
    )
    await using _served = await serve(dir)
    const ready = async () => {
      const [response] = (await once(
        request({ socketPath: dir.file('operator.sock'), path: '/readyz', headers: { host: 'localhost' } }).end(),
        'response',
      )) as [IncomingMessage]
      response.resume()
      return response.statusCode
    }
    expect(await ready()).toBe(503)
    await rename(`${scratch.database}.away`, scratch.database)
    // It tries once a second.
    while ((await ready()) !== 200) await setImmediate()
  })

  test('neither arguments nor log hold a secret', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, configOf({ users: [{ name: 'ben', password: '$PW' }], log: { level: 'trace' } }))
    await using served = await serve(dir, { PW: 'hunter2hunter2' })
    expect(await statusOf(served, '/nix-cache-info', 'ben:hunter2hunter2')).toBe(200)
    expect(await statusOf(served, '/nix-cache-info', 'ben:wrongwrong')).toBe(401)
    served.kill('SIGTERM')
    await served.exited
    const key = await readFile(dir.file('.local/state/burrow/secret-key'), 'utf8')
    const written = JSON.stringify(served.records) + (await served.printed(/./)) + served.child.spawnargs.join(' ')
    for (const secret of [
      'hunter2hunter2',
      'wrongwrong',
      Buffer.from('ben:hunter2hunter2').toString('base64'),
      key.split(':')[1]!.trim(),
    ])
      expect(written).not.toContain(secret)
  })
})
