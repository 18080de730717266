/** The store as the cache sees it when only some paths are published; and what happens when its thread ends. */
import { rename, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { text } from 'node:stream/consumers'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { findDecompressors } from '../../../appliance/server/decompressors.ts'
import { Fault } from '../../../src/faults.ts'
import { hashPartOf } from '../../../src/nix/store-path.ts'
import { type LocalStore, openLocalStore } from '../../../src/store/nix/local-store.ts'
import type { PublishPolicy } from '../../../src/store/publish/policy.ts'
import { openPublishedStore } from '../../../src/store/publish/published-store.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import { everything, openPublished } from '../../fixtures/published.ts'
import { ManualClock } from '../../manual-clock.ts'
import { recordLog } from '../recorded-log.ts'

let nix: NixFixture
let scratch: ScratchStore
let closure: BuiltClosure
let local: LocalStore

const leases = { narInfoSeconds: 0, maxPaths: 10 }
const decompressors = findDecompressors(process.env.PATH)
const openLocal = (place: ScratchStore) =>
  openLocalStore({ ...place, daemonSocket: undefined, leases, decompressors, log: recordLog() })

beforeAll(async () => {
  nix = await openNixFixture({ features: ['ca-derivations'] })
  scratch = await nix.openStore()
  closure = await scratch.buildClosure()
  local = await openLocal(scratch)
})
afterAll(async () => {
  await local[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

const open = (policy: Partial<PublishPolicy>) => openPublished(local, scratch, { ...everything, ...policy })
const listAll = (store: { pathsAfter?: LocalStore['pathsAfter'] }, start = '') => {
  const found: string[] = []
  for (let cursor = start; ; ) {
    const page = store.pathsAfter!(cursor)
    found.push(...page.paths.map(({ storePath }) => storePath))
    if (page.paths.length === 0 && page.cursor === cursor) return { found: found.sort(), cursor }
    cursor = page.cursor
  }
}

describe('questions', () => {
  test('find answers for published paths alone, with this store as theirs', async () => {
    await using store = await open({ roots: [closure.lib] })
    const object = store.find(hashPartOf(closure.lib))!
    expect(object).toMatchObject({ info: local.find(hashPartOf(closure.lib))!.info, trust: 'ours' })
    expect(object.store).toBe(store)
    expect(store.find(hashPartOf(closure.lib), () => false)).toBeUndefined()
    expect(store.find(hashPartOf(closure.app))).toBeUndefined()
    expect(store.find('0'.repeat(32))).toBeUndefined()
  })

  test('pathsAfter lists published paths alone, and later what was published since', async () => {
    const link = join(await nix.makeDir('root'), 'link')
    await symlink(closure.base, link)
    await using store = await open({ roots: [link] })
    const { found, cursor } = listAll(store)
    expect(found).toEqual([closure.base, closure.text].sort())
    await symlink(closure.lib, `${link}.tmp`)
    await rename(`${link}.tmp`, link)
    await store.until(() => store.find(hashPartOf(closure.lib)) !== undefined)
    expect(listAll(store, cursor).found).toEqual([closure.lib])
  })

  test('a log is there for the derivation of a published path, not for another', async () => {
    const log = basename(closure.appDrv)
    await using apps = await open({ roots: [closure.app] })
    expect(await text((await apps.openLog(log))!)).toContain('app')
    await using libs = await open({ roots: [closure.lib] })
    expect(await libs.openLog(log)).toBeUndefined()
    // By the hash part alone, as Nix cuts some names.
    expect(await libs.openLog(`${log.slice(0, 34)}`)).toBeUndefined()
    await using denied = await open({ deny: ['app-1.0.drv'] })
    expect(denied.find(hashPartOf(closure.app))).toBeDefined()
    expect(await denied.openLog(log)).toBeUndefined()
  })

  test('a denied deriver is not named, and an unpublished one tells no system', async () => {
    await using rooted = await open({ roots: [closure.app] })
    expect(local.findSystem(closure.appDrv)).toBeDefined()
    expect(rooted.findSystem(closure.appDrv)).toBeUndefined()
    expect(rooted.find(hashPartOf(closure.app))!.info.deriver).toBe(closure.appDrv)
    await using denied = await open({ deny: ['*.drv'] })
    expect(denied.find(hashPartOf(closure.app))!.info.deriver).toBeUndefined()
    await using whole = await open({})
    expect(whole.findSystem(closure.appDrv)).toBe(local.findSystem(closure.appDrv))
  })

  test('a realisation is there if its paths are', async () => {
    const drv = 'a'.repeat(64)
    const alter = new DatabaseSync(scratch.database)
    const found = alter.prepare("select name from sqlite_schema where name = 'Realisations'").get()
    expect(found).toBeDefined()
    for (const [output, path] of [
      ['out', closure.app],
      ['lib', closure.lib],
    ] as const)
      alter
        .prepare(
          `insert into Realisations (drvPath, outputName, outputPath, signatures)
           select 'sha256:' || ?, ?, id, '' from ValidPaths where path = ?`,
        )
        .run(drv, output, path)
    alter.close()
    await using store = await open({ roots: [closure.lib] })
    expect(local.findRealisation(`sha256:${drv}!out`)).toBeDefined()
    expect(store.findRealisation(`sha256:${drv}!out`)).toBeUndefined()
    expect(store.findRealisation(`sha256:${drv}!lib`)!.outPath).toBe(basename(closure.lib))
  })

  test('a policy without rules publishes what the local store has', async () => {
    await using store = await open({})
    expect(listAll(store).found).toEqual(listAll(local, '0').found)
    expect(store.health().published).toEqual({
      state: 'current',
      paths: listAll(local, '0').found.length,
      ofPaths: listAll(local, '0').found.length,
      rootProblems: [],
    })
  })
})

describe('changes', () => {
  test('a removed path is absent at once, also if it was added again and its row has not been judged', async () => {
    const changing = await nix.openStore()
    const path = await changing.addFile('file', 'x')
    await using of = await openLocal(changing)
    await using store = await openPublished(of, changing, everything)
    const before = store.generation()
    expect(store.find(hashPartOf(path))).toBeDefined()
    await changing.deletePath(path)
    expect(store.find(hashPartOf(path))).toBeUndefined()
    expect(store.generation()).not.toBe(before)
    await changing.addFile('file', 'x')
    await store.until(() => store.find(hashPartOf(path)) !== undefined)
  })

  test('a record that refers to what is not published is absent before the thread has seen it', async () => {
    const changing = await nix.openStore()
    const { base } = await changing.buildClosure()
    const denied = await changing.addFile('denied', 'x')
    await using of = await openLocal(changing)
    // The thread sees the state of now, in a copy of the database.
    const frozen = join(changing.root, 'frozen.sqlite')
    const database = new DatabaseSync(changing.database)
    database.exec(`vacuum into '${frozen}'`)
    await using store = await openPublished(
      of,
      changing,
      { ...everything, deny: ['denied'] },
      { place: { ...changing, storeDir: changing.storeDir, realStoreDir: changing.realStoreDir, database: frozen } },
    )
    expect(store.find(hashPartOf(base))).toBeDefined()
    database.exec(
      `insert into Refs select a.id, b.id from ValidPaths a, ValidPaths b where a.path = '${base}' and b.path = '${denied}'`,
    )
    database.close()
    expect(of.find(hashPartOf(base))!.info.references).toContain(denied)
    expect(store.find(hashPartOf(base))).toBeUndefined()
  })
})

describe('the thread', () => {
  const start = async (policy: PublishPolicy, clock = new ManualClock()) => {
    const workers: Worker[] = []
    const log = recordLog()
    let onStart = () => {}
    const store = await openPublished(local, scratch, policy, {
      clock,
      log,
      startThread: (workerData) => {
        const worker = new Worker(new URL('../../../src/store/publish/publication-worker.ts', import.meta.url), {
          workerData,
        })
        workers.push(worker)
        onStart()
        return worker
      },
    })
    return { store, clock, log, workers, restarted: () => new Promise<void>((resolve) => (onStart = resolve)) }
  }
  const ended = (worker: Worker) => new Promise((resolve) => worker.once('exit', () => setImmediate(resolve)))

  test('it is started again when it ends; until then nothing more and nothing less is published', async () => {
    const link = join(await nix.makeDir('root'), 'link')
    await symlink(closure.base, link)
    const { store, clock, workers, log } = await start({ ...everything, roots: [link] })
    await using _ = store
    const exit = ended(workers[0]!)
    await workers[0]!.terminate()
    await exit
    await symlink(closure.lib, `${link}.tmp`)
    await rename(`${link}.tmp`, link)
    expect(store.find(hashPartOf(closure.base))).toBeDefined()
    expect(store.find(hashPartOf(closure.lib))).toBeUndefined()
    expect(store.health().published?.state).toBe('current')
    clock.advance(100)
    expect(workers).toHaveLength(2)
    await store.until(() => store.find(hashPartOf(closure.lib)) !== undefined)
    expect(log.loud()).toContain('info The published paths are known again')
  })

  test('if it does not come back, nothing is published, and everything is again once it does', async () => {
    const { store, clock, workers, log } = await start(everything)
    await using _ = store
    const before = store.generation()
    const exit = ended(workers[0]!)
    await workers[0]!.terminate()
    await exit
    clock.advance(50)
    expect(store.find(hashPartOf(closure.base))).toBeDefined()
    // The second thread is started and ends before its first result.
    clock.advance(50)
    const exits = ended(workers[1]!)
    await workers[1]!.terminate()
    await exits
    clock.advance(10_000)
    expect(() => store.find(hashPartOf(closure.base))).toThrow(Fault)
    expect(() => store.generation()).toThrow(/so none are served/)
    expect(() => store.pathsAfter!('')).toThrow(Fault)
    expect(store.health()).toMatchObject({ isReadable: false, published: { state: 'failed', paths: 0 } })
    expect(await Promise.allSettled([store.openLog(basename(closure.appDrv))])).toMatchObject([{ status: 'rejected' }])
    expect(log.loud().filter((line) => line.startsWith('error'))).toHaveLength(1)
    await store.until(() => store.health().published?.state === 'current')
    expect(store.find(hashPartOf(closure.base))).toBeDefined()
    expect(store.generation()).toBeGreaterThan(before)
  })

  test('before its first result nothing is published', async () => {
    const absent = { ...scratch, storeDir: scratch.storeDir, database: join(scratch.root, 'none/db.sqlite') }
    await using store = openPublishedStore({ local, policy: everything, place: absent, log: recordLog() })
    for (const path of [closure.app, closure.text]) expect(() => store.find(hashPartOf(path))).toThrow(Fault)
    expect(() => store.findRealisation(`sha256:${'a'.repeat(64)}!out`)).toThrow(Fault)
    expect(store.health()).toMatchObject({ isReadable: false, problem: expect.stringContaining('not known yet') })
    expect(await store.explain(closure.app)).toBeUndefined()
    expect(() => store.find(hashPartOf(closure.app))).toThrow(Fault)
  })

  test('a thread that cannot even be loaded publishes nothing', async () => {
    const file = join(await nix.makeDir('worker'), 'worker.mjs')
    await writeFile(file, 'throw new Error("a bug")')
    const clock = new ManualClock()
    const log = recordLog()
    const workers: Worker[] = []
    await using store = openPublishedStore({
      local,
      policy: everything,
      place: scratch,
      log,
      clock,
      startThread: () => {
        const worker = new Worker(file)
        workers.push(worker)
        return worker
      },
    })
    for (let round = 0; round < 3; round++) {
      await ended(workers[round]!)
      clock.advance(30_000)
      expect(workers).toHaveLength(round + 2)
    }
    expect(() => store.find(hashPartOf(closure.app))).toThrow(Fault)
  })

  test('it explains', async () => {
    await using store = await open({ deny: ['lib-*'] })
    expect(await store.explain(closure.lib)).toMatchObject({ refusals: [{ kind: 'denied', glob: 'lib-*' }] })
  })
})
