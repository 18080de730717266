/** `burrow pin`, `unpin`, `pins` over HTTP, by the real program. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { runBurrow, serveBurrow } from '../appliance/burrow.ts'
import { createScratchDir, type ScratchDir } from '../appliance/scratch-dir.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { openPushCache } from '../fixtures/push-cache.ts'

let nix: NixFixture
let store: ScratchStore
let first: string
let second: string

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  first = await store.addFile('first', 'first')
  second = await store.addFile('second', 'second')
  await writeFile(join(nix.dir, 'password'), 'secret\n', { mode: 0o600 })
})

afterAll(() => nix[Symbol.asyncDispose]())

function runner(dir: ScratchDir, user = 'ci') {
  const env = {
    NIX_STATE_DIR: store.stateDir,
    BURROW_REAL_STORE_DIR: store.realStoreDir,
    BURROW_USER: user,
    BURROW_PASSWORD_FILE: join(nix.dir, 'password'),
  }
  return (...args: string[]) => runBurrow(args, { cwd: dir.path, env })
}

describe('a pin', () => {
  test('is made, gets a new revision, is listed and ended', async () => {
    await using cache = await openPushCache(nix)
    await using dir = await createScratchDir()
    const run = runner(dir)
    const at = ['--to', cache.url]
    await run('push', ...at, first, second)
    expect(await run('pin', 'ci/app', first, ...at, '--keep-last', '2', '--expires', '90d')).toMatchObject({
      code: 0,
      stdout: `Pinned 1 path as ci/app at ${cache.url}.\n`,
    })
    expect((await run('pin', 'ci/app', second, ...at, '--keep-last', '2')).code).toBe(0)
    const { pins } = JSON.parse((await run('pins', ...at, '--json')).stdout)
    expect(pins).toMatchObject([
      { name: 'ci/app', keepLast: 2, revisions: [{ user: 'ci', storePaths: [second] }, { storePaths: [first] }] },
    ])
    expect((await run('pins', ...at)).stdout).toMatch(/^ci\/app {2}\(keeps the last 2 revisions\)\n/)
    expect(await run('unpin', 'ci/app', ...at)).toMatchObject({
      code: 0,
      stdout: `Removed the pin ci/app at ${cache.url}.\n`,
    })
    expect(cache.depot.pins()).toEqual([])
    expect(await run('unpin', 'ci/app', ...at)).toMatchObject({
      code: 4,
      stderr: 'There is no pin "ci/app"; see "burrow pins"\n',
    })
  })

  test('that expires is kept until then', async () => {
    await using cache = await openPushCache(nix)
    await using dir = await createScratchDir()
    const run = runner(dir)
    await run('push', '--to', cache.url, first)
    expect((await run('pin', 'ci/app', first, '--to', cache.url, '--expires', '2099-12-31')).code).toBe(0)
    expect(cache.depot.pins()).toMatchObject([{ expiresAt: Date.parse('2099-12-31') }])
  })

  test.each([
    [
      'of a path that is not there',
      'ci',
      ['ci/app', `/nix/store/${'0'.repeat(32)}-absent`],
      4,
      /is not here: push it before it is pinned/,
    ],
    ['of another user', 'ci', ['ben/app', 'FIRST'], 77, /whose names start with "ci\/"/],
    ['by a user who may not push', 'ben', ['ben/app', 'FIRST'], 77, /ben|push/],
    ['by nobody known', 'eve', ['eve/app', 'FIRST'], 77, /rejected the user name or password/],
    ['with a name of another form', 'ci', ['ci//app', 'FIRST'], 2, /Use letters, digits/],
    ['that has expired already', 'ci', ['ci/app', 'FIRST', '--expires', '2001-01-01'], 2, /Use a date in the future/],
  ])('%s is refused', async (_what, user, args, code, text) => {
    await using cache = await openPushCache(nix)
    await using dir = await createScratchDir()
    await runner(dir)('push', '--to', cache.url, first)
    const named = args.map((arg) => (arg === 'FIRST' ? first : arg))
    expect(await runner(dir, user)('pin', ...named, '--to', cache.url)).toMatchObject({
      code,
      stderr: expect.stringMatching(text),
    })
    expect(cache.depot.pins()).toEqual([])
  })
})

test('without a login, or without an answer, the message says so', async () => {
  await using cache = await openPushCache(nix)
  await using dir = await createScratchDir()
  const env = { NIX_STATE_DIR: store.stateDir, BURROW_REAL_STORE_DIR: store.realStoreDir }
  const push = (...args: string[]) => runBurrow(['push', first, ...args], { cwd: dir.path, env })
  await writeFile(dir.file('netrc'), '')
  expect(await push('--to', cache.url, '--netrc-file', 'netrc')).toMatchObject({
    code: 77,
    stderr: `${cache.url} asks for a login (HTTP 401), and none is known for "127.0.0.1": add a line for it to the netrc file\n`,
  })
  // Nothing listens on this port.
  expect(await push('--to', 'http://127.0.0.1:1', '--patience', '3s')).toMatchObject({
    code: 75,
    stderr: expect.stringMatching(/^No answer from http:\/\/127\.0\.0\.1:1 \(ECONNREFUSED\): retrying in \d+ s$/m),
  })
})

test('a path that was forgotten is refused, and named once', async () => {
  await using cache = await openPushCache(nix)
  await using dir = await createScratchDir()
  const run = runner(dir)
  await run('push', '--to', cache.url, first)
  await cache.depot.forget([first], 'ana')
  expect((await run('push', '--to', cache.url, first)).stderr).toBe(
    `${first} with this content was removed by an administrator and is no longer accepted\nThe cache refused 1 path\n`,
  )
})

test('pins asks the Burrow here when a config is here, and else the cache that was set', async () => {
  await using cache = await openPushCache(nix)
  await using dir = await createScratchDir()
  const run = runner(dir)
  await run('push', '--to', cache.url, '--pin', 'ci/far', first)
  await mkdir(dir.file('.config/burrow'), { recursive: true })
  await writeFile(dir.file('.config/burrow/client.json'), JSON.stringify({ url: cache.url }))
  expect((await run('pins')).stdout).toContain('ci/far')

  const users = [{ name: 'ci', password: 'secret', access: ['push'] }]
  await writeFile(
    dir.file('burrow.json'),
    JSON.stringify({
      listen: '127.0.0.1:0',
      users,
      state: { dir: dir.file('state') },
      store: { realDir: dir.file('none') },
    }),
    { mode: 0o600 },
  )
  expect(await run('pins')).toMatchObject({ code: 1, stderr: expect.stringContaining('Burrow is not running here') })
  await using served = await serveBurrow([], { cwd: dir.path })
  void served
  expect(await run('pins')).toMatchObject({ code: 0, stdout: 'There are no pins.\n' })
  expect((await run('pins', '--to', cache.url)).stdout).toContain('ci/far')
})
