/**
 * `burrow watch-store`: real stores that grow, a server that is away, kill -9, paths that are collected while they
 * wait, a database that is replaced.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { runBurrow } from '../../appliance/burrow.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import { openPushCache, type PushCache } from '../../fixtures/push-cache.ts'
import { openUploadProxy } from '../../fixtures/upload-proxy.ts'

const main = fileURLToPath(new URL('../../../appliance/main.ts', import.meta.url))

let nix: NixFixture

beforeAll(async () => {
  nix = await openNixFixture()
  await writeFile(join(nix.dir, 'password'), 'secret\n', { mode: 0o600 })
})

afterAll(() => nix[Symbol.asyncDispose]())

function environment(store: ScratchStore, home: string, user = 'ci'): Record<string, string> {
  return {
    HOME: home,
    NIX_STATE_DIR: store.stateDir,
    BURROW_REAL_STORE_DIR: store.realStoreDir,
    BURROW_USER: user,
    BURROW_PASSWORD_FILE: join(nix.dir, 'password'),
  }
}

/** A running watch-store; each `said` waits for text behind that of the one before. */
function startWatch(args: readonly string[], env: Record<string, string>) {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, 'watch-store', ...args], {
    cwd: env.HOME!,
    env: { PATH: process.env.PATH!, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  let read = 0
  const looks = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
      for (const look of looks) look()
    })
  }
  const exited = once(child, 'close').then(([code]) => code as number | null)
  return {
    said: (pattern: RegExp) =>
      new Promise<string>((resolve, reject) => {
        const look = () => {
          const found = pattern.exec(output.slice(read))
          if (found === null) return
          looks.delete(look)
          read += found.index + found[0].length
          resolve(found[0])
        }
        looks.add(look)
        exited.then((code) => reject(new Error(`ended with ${code} without ${pattern}:\n${output}`)), reject)
        look()
      }),
    get output() {
      return output
    },
    kill: (signal: NodeJS.Signals) => void child.kill(signal),
    exited,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

const has = (cache: PushCache, path: string) => cache.depot.find(path.slice(11, 43))?.info.storePath === path

describe('watch-store', () => {
  test('pushes what is added and built from its first start on, with what it refers to, and no derivations', async () => {
    const store = await nix.openStore()
    const home = await nix.makeDir('home')
    const before = await store.addFile('before', 'old')
    await using cache = await openPushCache(nix)
    await using watch = startWatch(['--to', cache.url], environment(store, home))
    await watch.said(/Watching \/nix\/store for http:\S+: 0 paths waiting/)
    const { app, appDrv, appClosure } = await store.buildClosure()
    while (!appClosure.every((path) => has(cache, path))) await watch.said(/Pushed \d+ paths? /)
    expect([has(cache, app), has(cache, before), has(cache, appDrv)]).toEqual([true, false, false])
    watch.kill('SIGTERM')
    expect([await watch.exited, watch.output]).toEqual([
      0,
      expect.stringMatching(/Stopped: \d+ paths pushed, 0 paths kept for the next start\n$/),
    ])
  })

  test('leaves out what an upstream cache has signed', async () => {
    const store = await nix.openStore()
    const home = await nix.makeDir('home')
    const pair = await nix.generateKey('other-1')
    await using cache = await openPushCache(nix, { policy: { upstreamKeys: [pair.publicKey.trim()] } })
    const source = await nix.openStore()
    const signed = await source.addFile('signed', 'signed there')
    await source.sign(pair.secretFile, [signed])
    await using watch = startWatch(['--to', cache.url], environment(store, home))
    await watch.said(/Watching/)
    await nix.run('nix', ['copy', '--from', source.root, '--to', store.root, '--no-check-sigs', signed])
    const own = await store.addFile('own', 'made here')
    await watch.said(/Pushed 1 path /)
    expect([has(cache, own), has(cache, signed)]).toEqual([true, false])
  })

  test('loses nothing when it is killed, or when paths come while it does not run', async () => {
    const store = await nix.openStore()
    const home = await nix.makeDir('home')
    await using cache = await openPushCache(nix)
    await using proxy = await openUploadProxy(cache.cache.port)
    const env = environment(store, home)
    const big = async (name: string) => store.addFile(name, randomBytes(20_000_000))
    let first: string
    {
      await using watch = startWatch(['--to', proxy.url], env)
      await watch.said(/Watching/)
      first = await big('first')
      await proxy.untilBytes(2_000_000)
      watch.kill('SIGKILL')
      await watch.exited
    }
    expect(has(cache, first)).toBe(false)
    const second = await store.addFile('second', 'while nothing ran')
    await using watch = startWatch(['--to', proxy.url], env)
    await watch.said(/Watching .*: 2 paths waiting/)
    await watch.said(/Pushed 2 paths /)
    expect([has(cache, first), has(cache, second)]).toEqual([true, true])
  })

  test('waits for a server that is away, and keeps the queue when it is stopped meanwhile; a path that was collected is dropped with a line', async () => {
    const store = await nix.openStore()
    const home = await nix.makeDir('home')
    await using cache = await openPushCache(nix)
    await using proxy = await openUploadProxy(cache.cache.port)
    const env = environment(store, home)
    proxy.target = undefined
    let kept: string
    let collected: string
    {
      await using watch = startWatch(['--to', proxy.url], env)
      await watch.said(/Watching/)
      kept = await store.addFile('kept', 'kept')
      collected = await store.addFile('collected', 'collected')
      await watch.said(/No answer from http:\S+ \(\w+\): retrying/)
      watch.kill('SIGTERM')
      await watch.said(/Stopped: 0 paths pushed, 2 paths kept for the next start/)
      expect(await watch.exited).toBe(0)
    }
    await store.deletePath(collected)
    await using watch = startWatch(['--to', proxy.url], env)
    await watch.said(/2 paths waiting/)
    await watch.said(/No answer/)
    proxy.target = cache.cache.port
    await watch.said(/Dropped \/nix\/store\/\S+-collected: it is not in the store any more/)
    await watch.said(/Pushed 1 path /)
    expect(has(cache, kept)).toBe(true)
    // The next one goes at once again.
    const next = await store.addFile('next', 'next')
    await watch.said(/Pushed 1 path /)
    expect(has(cache, next)).toBe(true)
  })

  test('starts over with a fresh database', async () => {
    const [old, fresh] = [await nix.openStore(), await nix.openStore()]
    const home = await nix.makeDir('home')
    await using cache = await openPushCache(nix)
    const env = environment(old, home)
    for (const name of ['a', 'b', 'c']) await old.addFile(name, name)
    {
      await using watch = startWatch(['--to', cache.url], env)
      await watch.said(/Watching/)
      watch.kill('SIGTERM')
      expect(await watch.exited).toBe(0)
    }
    const reborn = await fresh.addFile('reborn', 'reborn')
    // As after an installation from nothing: the same place, another store.
    await rename(join(old.root, 'nix'), join(old.root, 'old'))
    await rename(join(fresh.root, 'nix'), join(old.root, 'nix'))
    await using watch = startWatch(['--to', cache.url], env)
    await watch.said(/a different database than before: starting over/)
    await watch.said(/Pushed 1 path /)
    expect(has(cache, reborn)).toBe(true)
  })

  test('drops what the cache refuses and what is damaged here, and pushes the rest', async () => {
    const store = await nix.openStore()
    const home = await nix.makeDir('home')
    await using cache = await openPushCache(nix, { policy: { refuse: [/-secret$/.source] } })
    const env = environment(store, home)
    await using watch = startWatch(['--to', cache.url], env)
    await watch.said(/Watching/)
    const [secret, rotten, good] = (
      await store.nixStore([
        '--add',
        ...(await Promise.all(['secret', 'rotten', 'good'].map((name) => store.writeFile(name, name)))),
      ])
    ).stdout
      .trim()
      .split('\n') as [string, string, string]
    await rm(store.realPathOf(rotten))
    await writeFile(store.realPathOf(rotten), 'ROTTEN')
    await watch.said(/Dropped \/nix\/store\/\S+-secret: /)
    while (!has(cache, good) || !/Dropped \S+-rotten: /.test(watch.output)) await watch.said(/Pushed|Dropped/)
    expect([has(cache, secret), has(cache, rotten), has(cache, good)]).toEqual([false, false, true])
    watch.kill('SIGTERM')
    expect([await watch.exited, watch.output]).toEqual([0, expect.stringContaining('0 paths kept')])
  })

  test('is refused a second time for the same store and cache', async () => {
    const store = await nix.openStore()
    const home = await nix.makeDir('home')
    await using cache = await openPushCache(nix)
    await using watch = startWatch(['--to', cache.url], environment(store, home))
    await watch.said(/Watching/)
    expect(
      await runBurrow(['watch-store', '--to', cache.url], { cwd: home, env: environment(store, home) }),
    ).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('is using it'),
    })
  })

  test('with --spool pushes what a hook leaves there, and empties the folder, but for what is not finished yet', async () => {
    const store = await nix.openStore()
    const home = await nix.makeDir('home')
    const spool = join(home, 'spool')
    await mkdir(spool)
    await using cache = await openPushCache(nix)
    const [one, two, unnamed] = [
      await store.addFile('one', '1'),
      await store.addFile('two', '2'),
      await store.addFile('unnamed', '3'),
    ]
    await writeFile(join(spool, '1.paths'), `${one} ${two}\nnonsense\n`)
    await writeFile(join(spool, '.2.tmp'), unnamed)
    await writeFile(join(spool, '.old.tmp'), unnamed)
    await utimes(join(spool, '.old.tmp'), 1000, 1000)
    await using watch = startWatch(['--to', cache.url, '--spool', spool], environment(store, home))
    await watch.said(/Ignored 1 words in .* that are not store paths/)
    await watch.said(/Pushed 2 paths /)
    expect([has(cache, one), has(cache, two), has(cache, unnamed)]).toEqual([true, true, false])
    expect(await readdir(spool)).toEqual(['.2.tmp'])
  })
})

describe('watch-store --once', () => {
  test('pushes what came since the number that --mark printed', async () => {
    const store = await nix.openStore()
    const home = await nix.makeDir('home')
    await using cache = await openPushCache(nix)
    const run = (...args: string[]) => runBurrow(['watch-store', ...args], { cwd: home, env: environment(store, home) })
    const before = await store.addFile('before', 'before')
    const { code, stdout } = await run('--mark')
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^\d+\n$/)])
    const id = stdout.trim()
    expect(await run('--once', '--since', id, '--to', cache.url)).toMatchObject({
      code: 0,
      stdout: 'Nothing to push.\n',
    })
    const after = await store.addFile('after', 'after')
    expect(await run('--once', '--since', id, '--to', cache.url)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^1 new path; pushed 1 path /),
    })
    expect([has(cache, before), has(cache, after)]).toEqual([false, true])
  })

  test('ends with the codes of push', async () => {
    const store = await nix.openStore()
    const home = await nix.makeDir('home')
    await store.addFile('some', 'some')
    await using cache = await openPushCache(nix)
    await using proxy = await openUploadProxy(cache.cache.port)
    const run = (user: string, ...args: string[]) =>
      runBurrow(['watch-store', ...args], { cwd: home, env: environment(store, home, user) })
    expect((await run('ben', '--once', '--since', '0', '--to', cache.url)).code).toBe(77)
    expect((await run('eve', '--once', '--since', '0', '--to', cache.url)).code).toBe(77)
    proxy.target = undefined
    expect((await run('ci', '--once', '--since', '0', '--to', proxy.url, '--patience', '1s')).code).toBe(75)
    expect(await run('ci', '--once', '--to', cache.url)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--once needs either --since'),
    })
    expect(await run('ci', '--since', '1', '--to', cache.url)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--since needs --once'),
    })
    expect(await run('ci')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('No cache is set'),
    })
  })
})
