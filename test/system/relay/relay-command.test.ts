/** `burrow relay` as its users meet it: status, who may connect, signals, mistakes on the command line, --watch. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { runBurrow } from '../../appliance/burrow.ts'
import { type NixFixture, openNixFixture } from '../../fixtures/nix.ts'
import { openPushCache } from '../../fixtures/push-cache.ts'
import { startRelay } from './relay-program.ts'

let nix: NixFixture

beforeAll(async () => {
  nix = await openNixFixture()
})

afterAll(() => nix[Symbol.asyncDispose]())

describe('status', () => {
  test('says how the line is and what it did, in text and as JSON', async () => {
    await using cache = await openPushCache(nix)
    await using relay = await startRelay(nix, { to: cache.url })
    await fetch(`${relay.url}/${'0'.repeat(32)}.narinfo`)
    const listen = `127.0.0.1:${relay.port}`
    const text = await runBurrow(['relay', 'status', '--listen', listen], { cwd: nix.dir })
    expect([text.code, text.stdout]).toEqual([0, expect.stringContaining(`${cache.url}, reached`)])
    const before = await runBurrow(['relay', '--listen', listen, 'status'], { cwd: nix.dir })
    expect(before).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Cache /) })
    const json = await runBurrow(['relay', 'status', '--json', '--listen', listen], { cwd: nix.dir })
    expect(JSON.parse(json.stdout)).toMatchObject({ url: cache.url, problem: null, storeDir: '/nix/store' })
  })

  test('without a relay it fails and says what to do', async () => {
    const { code, stderr } = await runBurrow(['relay', 'status', '--listen', '127.0.0.1:1'], { cwd: nix.dir })
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/No relay answers on http:\/\/127\.0\.0\.1:1: start it with/),
    ])
  })
})

test('with --exit-idle it ends when it is left alone, and goes on counting when it is started again', async () => {
  await using cache = await openPushCache(nix)
  const env = { STATE_DIRECTORY: await nix.makeDir('state') }
  await using first = await startRelay(nix, { to: cache.url, env, args: ['--exit-idle', '300ms'] })
  const ask = { headers: { connection: 'close' } }
  await fetch(`${first.url}/${'0'.repeat(32)}.narinfo`, ask)
  expect(await first.exited).toBe(0)
  await using second = await startRelay(nix, { to: cache.url, env })
  await fetch(`${second.url}/${'1'.repeat(32)}.narinfo`, ask)
  const { since, startedAt, narInfos } = await second.status()
  expect(narInfos.asked).toBe(2)
  expect(Date.parse(since)).toBeLessThan(Date.parse(startedAt))
})

test('with --exit-idle it stays as long as a connection is open', async () => {
  await using cache = await openPushCache(nix)
  await using relay = await startRelay(nix, { to: cache.url, args: ['--exit-idle', '50ms'] })
  const socket = connect(relay.port, '127.0.0.1')
  await once(socket, 'connect')
  for (let asked = 0; asked < 3; asked++) {
    socket.write('GET /nix-cache-info HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await once(socket, 'data')
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  socket.end()
  expect(await relay.exited).toBe(0)
})

test('the credentials of the far end are nowhere to be seen', async () => {
  await using cache = await openPushCache(nix)
  await using relay = await startRelay(nix, { to: cache.url })
  const replies = await Promise.all(
    ['nix-cache-info', 'v1/relay/status', `${'0'.repeat(32)}.narinfo`].map(async (path) => {
      const answer = await fetch(`${relay.url}/${path}`)
      return `${JSON.stringify([...answer.headers])} ${await answer.text()}`
    }),
  )
  expect(replies.join() + relay.output).not.toMatch(/secret|Basic/)
})

const isRoot = process.getuid?.() === 0
const nobody = 65_534

test('--allow-uid lets in those users and no others', async () => {
  if (!isRoot) return void process.stderr.write('skipped: that takes root\n')
  await using cache = await openPushCache(nix)
  await using relay = await startRelay(nix, { to: cache.url, args: ['--allow-uid', String(nobody)] })
  const ask = (userId: number) =>
    spawnSync('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code}', `${relay.url}/nix-cache-info`], {
      uid: userId,
      gid: userId,
      encoding: 'utf8',
    }).stdout
  expect([ask(nobody), ask(0), ask(nobody)]).toEqual(['200', '403', '200'])
})

test('--allow-uid does not take a connection for that of another user with the same ports', async () => {
  if (!isRoot) return void process.stderr.write('skipped: that takes root\n')
  await using cache = await openPushCache(nix)
  await using relay = await startRelay(nix, { to: cache.url, args: ['--allow-uid', '0'] })
  const mine = connect({ port: relay.port, host: '127.0.0.1' })
  await once(mine, 'connect')
  const ask = (userId: number, address: string, port: number) =>
    spawnSync(
      'curl',
      ['-s', '-o', '/dev/null', '-w', '%{http_code}', '--interface', address, '--local-port', String(port)].concat(
        `${relay.url}/nix-cache-info`,
      ),
      { uid: userId, gid: userId, encoding: 'utf8' },
    ).stdout
  try {
    expect([ask(nobody, '127.0.0.2', mine.localPort!), ask(0, '127.0.0.3', mine.localPort!)]).toEqual(['403', '200'])
  } finally {
    mine.destroy()
  }
})

test('a second relay does not touch what waits in the directory of the first', async () => {
  await using cache = await openPushCache(nix)
  const stateDir = await nix.makeDir('state')
  await using relay = await startRelay(nix, { to: cache.url, env: { STATE_DIRECTORY: stateDir } })
  const fileHash = '094qif9n4cq4fdg459qzbhg1c6wywawwaaivx0k0x8xhbyx4vwic'
  const { status } = await fetch(`${relay.url}/nar/${fileHash}.nar`, { method: 'PUT', body: 'hello' })
  const second = await runBurrow(['relay', '--to', cache.url, '--listen', '127.0.0.1:0'], {
    cwd: nix.dir,
    env: { STATE_DIRECTORY: stateDir },
  })
  expect([second.code, second.stderr]).toEqual([1, expect.stringContaining(`Another relay uses "${stateDir}"`)])
  expect([status, await readdir(join(stateDir, 'spool'))]).toEqual([201, [`${fileHash}.nar`]])
})

test.each(['SIGTERM', 'SIGINT'] as const)('%s ends it with 0 when nothing is under way', async (signal) => {
  await using cache = await openPushCache(nix)
  await using relay = await startRelay(nix, { to: cache.url })
  relay.kill(signal)
  expect(await relay.exited).toBe(0)
})

test('with --watch it pushes what becomes valid, too', async () => {
  await using cache = await openPushCache(nix)
  const store = await nix.openStore()
  await store.addFile('before', 'before')
  await using relay = await startRelay(nix, { to: cache.url, store, args: ['--watch'] })
  while (!/Watching/.test(relay.output)) await new Promise((resolve) => setTimeout(resolve, 50))
  const path = await store.addFile('after', 'after')
  while (cache.depot.find(path.slice(11, 43)) === undefined) await new Promise((resolve) => setTimeout(resolve, 100))
  relay.kill('SIGTERM')
  expect(await relay.exited).toBe(0)
})

describe('mistakes', () => {
  test.each([
    [['relay'], 2, /No cache is set/],
    [['relay', '--to', 'ftp://cache.example.org'], 2, /must begin with http/],
    [['relay', '--to', 'https://ben:secret@cache.example.org'], 2, /must not contain a user name, password/],
    [['relay', '--to', 'https://cache.example.org', '--listen', '0.0.0.0:8078'], 2, /loopback/],
    [
      ['relay', '--to', 'https://cache.example.org', '--listen', 'unix:/run/relay.sock'],
      2,
      /cannot use a cache on a unix socket/,
    ],
    [['relay', '--to', 'https://cache.example.org', '--patience', 'long'], 2, /Use a time like/],
    [['relay', '--to', 'https://cache.example.org', '--netrc-file', '/nowhere'], 78, /Cannot read "\/nowhere"/],
  ])('%j', async (args, expected, pattern) => {
    const { code, stderr } = await runBurrow(args, { cwd: nix.dir })
    expect([code, stderr]).toEqual([expected, expect.stringMatching(pattern)])
    expect(stderr).not.toMatch(/ben:secret/)
  })

  test('--exit-idle with --watch', async () => {
    const args = ['relay', '--to', 'http://127.0.0.1:1', '--watch', '--exit-idle', '5m']
    const { code, stderr } = await runBurrow(args, { cwd: nix.dir })
    expect([code, stderr]).toEqual([2, expect.stringContaining('Cannot use --exit-idle with --watch')])
  })

  test('an address in use', async () => {
    await using cache = await openPushCache(nix)
    const { code, stderr } = await runBurrow(['relay', '--to', cache.url, '--listen', new URL(cache.url).host], {
      cwd: nix.dir,
    })
    expect([code, stderr]).toEqual([1, expect.stringMatching(/another process listens there/)])
  })
})
