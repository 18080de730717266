/** `burrow gc`, `forget`, `who`, `pins`, `depot verify`: the real program asks a running server for its depot. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdir, truncate, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { createMetrics } from '../../appliance/operator/metrics.ts'
import { createOperatorServer } from '../../appliance/operator/operator-server.ts'
import { openListener } from '../../appliance/server/listener.ts'
import { silentLog } from '../../src/index.ts'
import { runBurrow, serveBurrow } from '../appliance/burrow.ts'
import { createScratchDir } from '../appliance/scratch-dir.ts'
import { basic } from '../fixtures/cache.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { openPushCache } from '../fixtures/push-cache.ts'

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure
let loose: string

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  closure = await store.buildClosure()
  loose = await store.addFile('loose', randomBytes(200_000))
  await writeFile(join(nix.dir, 'password'), 'secret\n', { mode: 0o600 })
})

afterAll(() => nix[Symbol.asyncDispose]())

/** Nothing is young or in use: what no pin keeps may go. */
const oldAtOnce = { keepPushedMs: 0, leaseMs: -7_200_000, keepUnusedMs: 0 }

/** A depot with the closure, pinned as ci/app, and `loose`; its operator's listener; and the commands. */
async function openAdministered(address: 'unix' | 'tcp' = 'unix') {
  await using opening = new AsyncDisposableStack()
  const cache = opening.use(await openPushCache(nix, { policy: oldAtOnce }))
  const dir = opening.use(await createScratchDir())
  const view = {
    findImpediment: () => undefined,
    readStatus: () => undefined,
    metrics: createMetrics('0'),
    depot: cache.depot,
    log: silentLog,
  }
  const at =
    address === 'unix'
      ? ({ kind: 'unix', path: dir.file('operator.sock') } as const)
      : ({ kind: 'tcp', host: '127.0.0.1', port: 0 } as const)
  const listener = opening.use(await openListener(createOperatorServer(view), at, { drainMs: 0 }))
  const operator = address === 'unix' ? `unix:${dir.file('operator.sock')}` : new URL(listener.url).host
  await writeFile(dir.file('burrow.json'), JSON.stringify({ operator }), { mode: 0o600 })
  const run = (...args: string[]) => runBurrow(args, { cwd: dir.path, env: pusherEnv() })
  expect(await run('push', '--to', cache.url, '--pin', 'ci/app', closure.app)).toMatchObject({ code: 0 })
  expect(await run('push', '--to', cache.url, loose)).toMatchObject({ code: 0 })
  const opened = opening.move()
  return {
    cache,
    depot: cache.depot,
    operator,
    run,
    url: listener.url,
    socket: dir.file('operator.sock'),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

function pusherEnv(user = 'ci'): Record<string, string> {
  return {
    NIX_STATE_DIR: store.stateDir,
    BURROW_REAL_STORE_DIR: store.realStoreDir,
    BURROW_USER: user,
    BURROW_PASSWORD_FILE: join(nix.dir, 'password'),
  }
}

describe('burrow gc', () => {
  test('removes what its dry run told, and no more', async () => {
    await using administered = await openAdministered()
    const { run, depot } = administered
    const dry = await run('gc', '--dry-run', '--older-than', '0m', '--json')
    const told = JSON.parse(dry.stdout)
    expect(told).toMatchObject({
      dryRun: true,
      removedObjects: 1,
      removed: [{ storePath: loose, why: 'unused' }],
      keptObjects: closure.appClosure.length,
    })
    expect(depot.figures().objects).toBe(closure.appClosure.length + 1)
    const done = JSON.parse((await run('gc', '--older-than', '0m', '--json')).stdout)
    expect({ ...done, dryRun: true }).toEqual(told)
    expect(depot.figures().objects).toBe(closure.appClosure.length)
    expect(await run('gc', '--older-than', '0m')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Nothing to remove'),
    })
  })

  test('evicts to a size, which is told in words', async () => {
    await using administered = await openAdministered()
    const { run, depot } = administered
    const { code, stdout } = await run('gc', '--to-size', '1KiB', '--older-than', '30d')
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(
        /-loose {2}195\.\d KiB {2}to free space, unused for .*\n1 path removed, 195\.\d KiB freed; \d paths kept\.\n$/,
      ),
    ])
    expect(depot.figures().objects).toBe(closure.appClosure.length)
  })

  test('explains what keeps a path, and says so of one that nothing keeps or that is not here', async () => {
    await using administered = await openAdministered()
    const { run } = administered
    const { code, stdout } = await run('gc', '--explain', closure.base)
    expect(code).toBe(0)
    expect(stdout.split('\n').slice(0, 2)).toEqual([
      `${closure.app}  (pin ci/app)`,
      `  ${closure.lib}  (referred to by the path above)`,
    ])
    expect(stdout).toContain(`    ${closure.base}  (referred to`)
    expect(await run('gc', '--explain', `/nix/store/${'0'.repeat(32)}-absent`)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('is not in the depot'),
    })
  })

  test.each([
    [['gc', '--older-than', 'soon'], 2, /Use a time like "30d"/],
    [['gc', '--to-size', 'much'], 2, /Use a size like "40GiB"/],
    [['gc', '--explain', '/nix/store/x', '--dry-run'], 2, /cannot be used with/],
    [['gc', '--explain', '/nix/store/x'], 2, /"\/nix\/store\/x" is not a store path/],
    [['forget'], 2, /Give either store paths or --pushed-by/],
    [['forget', '--pushed-by', 'ci'], 2, /must be used together/],
    [['who', './nowhere'], 2, /it does not exist/],
  ])('%j is refused with code %d', async (args, code, text) => {
    await using dir = await createScratchDir()
    expect(await runBurrow(args, { cwd: dir.path })).toMatchObject({ code, stderr: expect.stringMatching(text) })
  })
})

describe('burrow forget', () => {
  test('takes a path and all that refer to it out, which is not taken again before --allow', async () => {
    await using administered = await openAdministered()
    const { run, depot, cache } = administered
    const { code, stdout } = await run('forget', closure.lib)
    expect([code, stdout.split('\n').slice(0, -2).sort()]).toEqual([
      0,
      [closure.lib, closure.app].map((path) => `forgotten  ${path}`).sort(),
    ])
    expect(depot.find(closure.lib.slice(11, 43))).toBeUndefined()
    expect(depot.find(closure.base.slice(11, 43))).toBeDefined()
    expect((await run('push', '--to', cache.url, closure.app)).code).toBe(4)
    expect(await run('forget', '--allow', closure.lib)).toMatchObject({
      code: 0,
      stdout: `allowed    ${closure.lib}\n0 paths forgotten, 1 may be pushed again.\n`,
    })
    expect((await run('push', '--to', cache.url, closure.app)).code).toBe(0)
    expect(await run('forget', `/nix/store/${'0'.repeat(32)}-absent`)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('-absent is not in the depot'),
    })
  })

  test('takes what one user pushed since a time', async () => {
    await using administered = await openAdministered()
    const { run, depot } = administered
    expect(await run('forget', '--pushed-by', 'bot', '--since', '1h')).toMatchObject({
      code: 0,
      stdout: '0 paths forgotten.\n',
    })
    expect(await run('forget', '--pushed-by', 'ci', '--since', '2099-01-01')).toMatchObject({
      code: 0,
      stdout: '0 paths forgotten.\n',
    })
    expect((await run('forget', '--pushed-by', 'ci', '--since', '1h')).code).toBe(0)
    expect(depot.figures().objects).toBe(0)
  })
})

test('burrow who tells who pushed a path, also of one that was forgotten', async () => {
  await using administered = await openAdministered()
  const { run } = administered
  expect(await run('who', loose)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^\d{4}-\d\d-\d\dT\S+ {2}\S+ by ci {2}from 127\.0\.0\.1/),
  })
  await run('forget', loose)
  const { stdout } = await run('who', loose)
  expect(stdout).toMatch(/^\S+ {2}forget by operator/)
  expect(stdout).toMatch(/It is not in the depot any more\.\n$/)
  expect(await run('who', `/nix/store/${'0'.repeat(32)}-absent`)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('has no events of'),
  })
})

test('burrow pins lists them', async () => {
  await using administered = await openAdministered()
  expect(await administered.run('pins')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(
      new RegExp(
        `^ci/app {2}\\(keeps the last revision\\)\n {2}\\d+ (?:s|min) ago by ci\n {4}${closure.app.replaceAll('.', '\\.')}\n$`,
      ),
    ),
  })
})

test('burrow depot verify finds a damaged file, and names its paths', async () => {
  await using administered = await openAdministered()
  const { run, cache } = administered
  expect(await run('depot', 'verify')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^\d files read, .*; none damaged\.\n$/),
  })
  const files = (await readdir(join(cache.dir, 'nar'), { recursive: true })).filter(
    (name) => name.includes('.zstd') || name.includes('.none'),
  )
  const { default: fs } = await import('node:fs')
  const largest = files
    .map((name) => join(cache.dir, 'nar', name))
    .sort((a, b) => fs.statSync(b).size - fs.statSync(a).size)[0]!
  fs.chmodSync(largest, 0o644)
  await truncate(largest, 1000)
  expect(await run('depot', 'verify')).toMatchObject({
    code: 1,
    stdout: expect.stringContaining(loose),
    stderr: expect.stringContaining('damaged files'),
  })
})

describe("the operator's listener", () => {
  async function ask(
    socket: string,
    path: string,
    init: { method: string; headers?: Record<string, string>; body?: string },
  ) {
    const asking = request({
      socketPath: socket,
      path,
      method: init.method,
      headers: { host: 'localhost', ...init.headers },
    })
    asking.end(init.body)
    const [response] = await once(asking, 'response')
    return { status: response.statusCode as number, body: await json(response) }
  }

  test('takes no change from a web page, nor a body that is no request', async () => {
    await using administered = await openAdministered()
    const { socket, depot } = administered
    const body = JSON.stringify({ storePaths: [loose] })
    const type = { 'content-type': 'application/json' }
    const statuses = await Promise.all(
      [
        { method: 'POST', headers: { 'content-type': 'text/plain' }, body },
        { method: 'POST', headers: { ...type, origin: 'https://example.org' }, body },
        { method: 'POST', headers: type, body: '{' },
        { method: 'POST', headers: type, body: '{"storePaths":[]}' },
        { method: 'POST', headers: type, body: ' '.repeat(1024 * 1024 + 1) },
        { method: 'GET' },
      ].map(async (init) => (await ask(socket, '/depot/forget', init)).status),
    )
    expect(statuses).toEqual([415, 415, 400, 400, 400, 405])
    expect(depot.figures().objects).toBe(closure.appClosure.length + 1)
    expect((await ask(socket, '/depot/forget', { method: 'POST', headers: type, body })).status).toBe(200)
  })

  test('at a TCP address answers questions and changes nothing', async () => {
    await using administered = await openAdministered('tcp')
    const { run, depot } = administered
    const objects = depot.figures().objects
    expect((await run('gc', '--dry-run', '--older-than', '0m')).stdout).toContain('1 path would be removed')
    expect((await run('pins')).code).toBe(0)
    for (const args of [['gc'], ['forget', loose], ['depot', 'verify']]) {
      expect(await run(...args)).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('Only a unix socket may change the depot'),
      })
    }
    expect(depot.figures().objects).toBe(objects)
  })
})

test('the real server answers on its socket and not on its public listener; a server without a depot, or none at all, is named', async () => {
  await using dir = await createScratchDir()
  const config = (depot: boolean) => {
    const users = [{ name: 'ci', password: 'secret', access: depot ? ['pull', 'push', 'admin'] : ['pull'] }]
    const text = {
      listen: '127.0.0.1:0',
      users,
      depot,
      state: { dir: dir.file('state') },
      store: { realDir: depot ? dir.file('none') : store.realStoreDir },
    }
    return writeFile(dir.file('burrow.json'), JSON.stringify(text), { mode: 0o600 })
  }
  const run = (...args: string[]) => runBurrow(args, { cwd: dir.path, env: pusherEnv() })
  await config(true)
  {
    await using served = await serveBurrow([], { cwd: dir.path })
    expect((await run('push', '--to', served.url, loose)).code).toBe(0)
    const answer = await fetch(`${served.url}/depot/pins`, { headers: { authorization: basic('ci', 'secret') } })
    expect(answer.status).toBe(404)
    expect((await run('forget', loose)).code).toBe(0)
    expect(await run('who', loose)).toMatchObject({ code: 0, stdout: expect.stringContaining('forget by operator') })
  }
  expect(await run('gc')).toMatchObject({ code: 1, stderr: expect.stringContaining('Burrow is not running here') })
  await config(false)
  await using served = await serveBurrow([], { cwd: dir.path })
  void served
  expect(await run('gc')).toMatchObject({ code: 1, stderr: expect.stringContaining('has no depot') })
})
