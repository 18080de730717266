/**
 * The store's database read by a user who may write nothing there, in each state in which Nix and others leave its
 * files.
 */

import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, rmSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import { systemClock } from '../../../src/clock.ts'
import { openDaemonConnection } from '../../../src/daemon/daemon-connection.ts'
import { hashPartOf } from '../../../src/nix/store-path.ts'
import type { StoreHealth } from '../../../src/store/health.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import type { ReaderRequest } from './reader-process.ts'

const nobody = 65534
const isRoot = process.getuid?.() === 0

class Reader {
  readonly #child: ChildProcess = fork(fileURLToPath(new URL('reader-process.ts', import.meta.url)), {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  })
  #id = 0

  async ask(request: ReaderRequest): Promise<unknown> {
    const id = ++this.#id
    this.#child.send({ id, ...request })
    for (;;) {
      const [reply] = (await once(this.#child, 'message')) as [
        { id: number; answer?: unknown; error?: string; code?: string },
      ]
      if (reply.id !== id) continue
      if (reply.error !== undefined) throw Object.assign(new Error(reply.error), { code: reply.code })
      return reply.answer
    }
  }

  async open(store: ScratchStore, daemonSocket?: string): Promise<StoreHealth> {
    const { storeDir, realStoreDir, database } = store
    const options = {
      uid: nobody,
      storeDir,
      realStoreDir,
      database,
      ...(daemonSocket !== undefined && { daemonSocket }),
    }
    return (await this.ask({ ask: 'open', options })) as StoreHealth
  }

  find(storePath: string): Promise<unknown> {
    return this.ask({ ask: 'find', hashPart: hashPartOf(storePath) })
  }

  async access(): Promise<string | undefined> {
    return ((await this.ask({ ask: 'health' })) as StoreHealth).mode
  }

  async log(): Promise<string[]> {
    return (await this.ask({ ask: 'log' })) as string[]
  }

  async close(): Promise<void> {
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }
}

const describeAsRoot = isRoot ? describe : describe.skip

describeAsRoot('an unprivileged reader', () => {
  let nix: NixFixture
  let store: ScratchStore
  let path: string
  let reader: Reader

  beforeAll(async () => {
    nix = await openNixFixture()
    chmodSync(nix.dir, 0o755)
  })
  afterAll(() => nix[Symbol.asyncDispose]())
  beforeEach(async () => {
    store = await nix.openStore()
    path = await store.addFile('first', 'x')
    reader = new Reader()
  })
  afterEach(() => reader.close())

  const hasLogs = () => [existsSync(`${store.database}-wal`), existsSync(`${store.database}-shm`)]

  /** Each change in the very next call. */
  async function expectCoherence(): Promise<void> {
    for (const name of ['a', 'b', 'c']) {
      const added = await store.addFile(name, name)
      expect(await reader.find(added)).toBe(added)
      await store.deletePath(added)
      expect(await reader.find(added)).toBeUndefined()
    }
  }

  test('reads an idle store without a daemon as it lies, and every change in the next call', async () => {
    expect(hasLogs()).toEqual([false, false])
    expect(await reader.open(store)).toMatchObject({ isReadable: true, mode: 'still' })
    expect(await reader.find(path)).toBe(path)
    await expectCoherence()
  })

  test('generation moves with every change, however the database is read', async () => {
    await reader.open(store)
    const seen = new Set<unknown>()
    for (let count = 0; count < 5; count++) {
      seen.add(await reader.ask({ ask: 'generation' }))
      expect(await reader.ask({ ask: 'generation' })).toBe([...seen].at(-1))
      await store.addFile(`g${count}`, `${count}`)
    }
    expect(seen.size).toBe(5)
  })

  test('reads an idle store through the log when the daemon helps, and keeps it when the daemon has gone', async () => {
    const daemon = await store.startDaemon()
    expect(hasLogs()).toEqual([false, false])
    expect((await reader.open(store, daemon.socket)).mode).toBe('live')
    await daemon[Symbol.asyncDispose]()
    expect(hasLogs()).toEqual([true, true])
    expect(await reader.find(path)).toBe(path)
    await expectCoherence()
    expect(await reader.access()).toBe('live')
  })

  test('reads beside a process that has the store open, commits that are only in the log too', async () => {
    await using daemon = await store.startDaemon()
    using _busy = await openDaemonConnection({ socketPath: daemon.socket, clock: systemClock, timeoutMs: 20_000 })
    await _busy.isValidPath(path, 20_000)
    expect((await reader.open(store)).mode).toBe('live')
    const added = await store.addFile('second', 'y')
    expect(statSync(`${store.database}-wal`).size).toBeGreaterThan(0)
    expect(await reader.find(added)).toBe(added)
    await expectCoherence()
  })

  test('reads logs that a reader left behind, as newer versions of Nix do', async () => {
    new DatabaseSync(store.database, { readOnly: true }).exec('select * from ValidPaths')
    expect(hasLogs()).toEqual([true, true])
    expect((await reader.open(store)).mode).toBe('live')
    expect(await reader.find(path)).toBe(path)
    await expectCoherence()
  })

  test('reads the log of a process that was killed before it wrote to the database itself', async () => {
    const added = await killedWriter()
    expect((await reader.open(store)).mode).toBe('live')
    expect(await reader.find(added)).toBe(added)
  })

  test('is unavailable while a log cannot be recovered, says so once, and comes back by itself', async () => {
    const added = await killedWriter()
    rmSync(`${store.database}-shm`)
    const health = await reader.open(store)
    expect(health.mode).toBe('none')
    expect(health.problem).toMatch(
      /db\.sqlite-shm" is missing or stale and user "nobody" \(uid 65534\) may not make it .* let nix-daemon run/,
    )
    await expect(reader.find(added)).rejects.toMatchObject({ code: 'store-unavailable' })
    await reader.ask({ ask: 'advance', byMs: 1000 })
    await expect(reader.find(added)).rejects.toMatchObject({ code: 'store-unavailable' })
    await store.isValid(path)
    await reader.ask({ ask: 'advance', byMs: 1000 })
    expect(await reader.find(added)).toBe(added)
    expect(await reader.log()).toEqual([
      expect.stringMatching(/^error Cannot open store database/),
      'info Store database is open',
    ])
  })

  test('names the user, the file and the remedy when it may not read the database or enter its directory', async () => {
    chmodSync(store.database, 0o600)
    const health = await reader.open(store)
    expect(health.problem).toContain(
      `user "nobody" (uid 65534) may not read it (owner uid 0, mode 0600); grant it, for example with "chmod o+r ${store.database}"`,
    )
    chmodSync(store.database, 0o644)
    chmodSync(store.stateDir, 0o700)
    await reader.ask({ ask: 'advance', byMs: 1000 })
    await expect(reader.find(path)).rejects.toThrow(`may not enter directory "${store.stateDir}"`)
    chmodSync(store.stateDir, 0o755)
    await reader.ask({ ask: 'advance', byMs: 999 })
    await expect(reader.find(path)).rejects.toMatchObject({ code: 'store-unavailable' })
    await reader.ask({ ask: 'advance', byMs: 1 })
    expect(await reader.find(path)).toBe(path)
  })

  test('never writes: neither the database nor its directory change', async () => {
    const before = statSync(store.database, { bigint: true })
    await reader.open(store)
    await reader.find(path)
    expect(statSync(store.database, { bigint: true }).ctimeNs).toBe(before.ctimeNs)
    expect(hasLogs()).toEqual([false, false])
  })

  /** Leaves a commit in the log alone, as a daemon's child does that was killed; returns the path committed. */
  async function killedWriter(): Promise<string> {
    const added = '/nix/store/00000000000000000000000000000000-in-the-log'
    const script = `
      const database = new (require('node:sqlite').DatabaseSync)(${JSON.stringify(store.database)})
      database.exec("insert into ValidPaths(path, hash, registrationTime, narSize) values('${added}', 'sha256:${'0'.repeat(64)}', 1, 120)")
      console.log('committed')
      setInterval(() => {}, 1000)`
    const writer = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(writer.stdout, 'data')
    const exited = once(writer, 'exit')
    writer.kill('SIGKILL')
    await exited
    expect(hasLogs()).toEqual([true, true])
    return added
  }
})
