/** The store's database over its life: absent, made, replaced, damaged, of another schema, locked. */

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import { hashPartOf } from '../../../src/nix/store-path.ts'
import { type LocalStore, openLocalStore } from '../../../src/store/nix/local-store.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import { ManualClock } from '../../manual-clock.ts'
import { type RecordedLog, recordLog } from '../recorded-log.ts'

const path = '/nix/store/00000000000000000000000000000000-path'
const schema = `
  create table ValidPaths (id integer primary key autoincrement not null, path text unique not null, hash text not null, registrationTime integer not null,
    deriver text, narSize integer, ultimate integer, sigs text, ca text);
  create table Refs (referrer integer not null, reference integer not null, primary key (referrer, reference));`

let dir: string
let database: string
let clock: ManualClock
let log: RecordedLog
let store: LocalStore | undefined

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'db-'))
  database = join(dir, 'db/db.sqlite')
  clock = new ManualClock()
  log = recordLog()
})
afterEach(async () => {
  await store?.[Symbol.asyncDispose]()
  store = undefined
  rmSync(dir, { recursive: true })
})

async function open(): Promise<LocalStore> {
  const leases = { narInfoSeconds: 600, maxPaths: 100 }
  store = await openLocalStore({
    storeDir: '/nix/store',
    realStoreDir: join(dir, 'store'),
    database,
    daemonSocket: undefined,
    leases,
    log,
    clock,
  })
  return store
}

function makeDatabase({ file = database, journal = 'wal', paths = [path], tables = schema } = {}): void {
  mkdirSync(dirname(file), { recursive: true })
  const made = new DatabaseSync(file)
  made.exec(`pragma journal_mode = ${journal}; ${tables}`)
  for (const each of paths)
    made.exec(
      `insert into ValidPaths(path, hash, registrationTime, narSize) values ('${each}', 'sha256:${'0'.repeat(64)}', 1, 120)`,
    )
  made.close()
}

const find = (storePath = path) => store!.find(hashPartOf(storePath))?.info.storePath
const problem = () => store!.health().problem
const nextTurn = () => new Promise(setImmediate)

describe('on a machine without a store', () => {
  test('openLocalStore opens, every look-up is a fault with the remedy, and it works as soon as a store appears', async () => {
    const opened = await open()
    for (const lookUp of [
      () => opened.generation(),
      () => find(),
      () => opened.findSystem(path),
      () => opened.findRealisation(`sha256:${'0'.repeat(64)}!out`),
    ]) {
      expect(lookUp).toThrow(expect.objectContaining({ code: 'store-unavailable' }))
      expect(lookUp).toThrow(
        `Cannot open store database "${database}": there is no such file; install Nix on this machine`,
      )
    }
    expect(await opened.openLog('00000000000000000000000000000000-x.drv')).toBeUndefined()
    makeDatabase()
    expect(() => find()).toThrow()
    clock.advance(1000)
    expect(find()).toBe(path)
    expect(problem()).toBeUndefined()
    expect(log.loud()).toEqual([expect.stringMatching(/^warn There is no Nix store/), 'info Store database is open'])
  })

  test('a database that is being made is no fault of its own: it is tried again', async () => {
    mkdirSync(dirname(database), { recursive: true })
    writeFileSync(database, '')
    await open()
    expect(problem()).toMatch(/it has no table "ValidPaths"/)
    rmSync(database)
    makeDatabase()
    clock.advance(1000)
    expect(find()).toBe(path)
  })
})

describe('what cannot be read', () => {
  test('another schema version is refused by name', async () => {
    makeDatabase()
    writeFileSync(join(dir, 'db/schema'), '99')
    await open()
    expect(problem()).toMatch(/its schema is version "99", wanted "10"/)
    expect(() => find()).toThrow(expect.objectContaining({ code: 'store-unavailable' }))
    writeFileSync(join(dir, 'db/schema'), '10\n')
    clock.advance(1000)
    expect(find()).toBe(path)
  })

  test('missing tables and columns are named', async () => {
    makeDatabase({ tables: 'create table Other (id integer)', paths: [] })
    await open()
    expect(problem()).toMatch(/it has no table "ValidPaths"/)
    rmSync(database)
    makeDatabase({
      tables:
        'create table ValidPaths (id integer primary key, path text, hash text, registrationTime integer, narSize integer)',
    })
    clock.advance(1000)
    expect(() => find()).toThrow(
      'its table "ValidPaths" lacks "deriver", "ultimate", "sigs", "ca": let a current Nix upgrade it',
    )
  })

  test('a damaged database is called damaged', async () => {
    mkdirSync(dirname(database), { recursive: true })
    writeFileSync(database, 'this is no database, whatever it is called, and it is long enough for a header'.repeat(20))
    await open()
    expect(problem()).toMatch(/it is damaged \(file is not a database\)/)
  })

  test('a directory in its place is called no regular file', async () => {
    mkdirSync(database, { recursive: true })
    await open()
    expect(problem()).toMatch(/it is no regular file/)
  })

  test('a locked database is called locked, and read again when the lock is gone', async () => {
    makeDatabase()
    const locker = new DatabaseSync(database)
    locker.exec('pragma locking_mode = exclusive; begin exclusive; update ValidPaths set narSize = 121')
    await open()
    expect(problem()).toMatch(/another process keeps it locked/)
    locker.exec('commit')
    locker.close()
    clock.advance(1000)
    expect(find()).toBe(path)
  })

  test('an exclusive lock of ten seconds costs a try in each second, and an answer at once to all others', async () => {
    makeDatabase()
    const locker = new DatabaseSync(database)
    locker.exec('pragma locking_mode = exclusive; begin exclusive; update ValidPaths set narSize = 121')
    const opened = await open()
    for (let second = 0; second < 10; second++) {
      clock.advance(1000)
      const tries: number[] = []
      for (let ask = 0; ask < 50; ask++) {
        const startedMs = performance.now()
        expect(() => opened.generation()).toThrow(expect.objectContaining({ code: 'store-unavailable' }))
        // SQLite waits for a lock itself, with the thread.
        if (performance.now() - startedMs >= 90) tries.push(ask)
      }
      expect(tries.filter((ask) => ask === 0)).toEqual([0])
      expect(tries.length).toBeLessThan(25)
    }
    locker.exec('commit')
    locker.close()
    clock.advance(1000)
    expect(find()).toBe(path)
    expect(log.loud()).toEqual([expect.stringMatching(/keeps it locked/), 'info Store database is open'])
  })

  test('it is tried once in a second, however many ask, and logged once', async () => {
    await open()
    const first = log.loud().length
    makeDatabase()
    for (let count = 0; count < 100; count++) expect(() => find()).toThrow()
    clock.advance(999)
    expect(() => find()).toThrow()
    expect(log.loud()).toHaveLength(first)
    clock.advance(1)
    expect(find()).toBe(path)
  })

  test('another problem than before is logged anew', async () => {
    await open()
    mkdirSync(database, { recursive: true })
    clock.advance(1000)
    expect(() => find()).toThrow()
    expect(log.loud()).toEqual([
      expect.stringMatching(/There is no Nix store/),
      expect.stringMatching(/no regular file/),
    ])
  })
})

describe('while it runs', () => {
  const other = '/nix/store/11111111111111111111111111111111-other'

  test('a database replaced by another file is opened anew, and generation moves', async () => {
    makeDatabase()
    const opened = await open()
    const before = opened.generation()
    expect(find()).toBe(path)
    const replacement = join(dir, 'new.sqlite')
    makeDatabase({ file: replacement, paths: [other] })
    for (const suffix of ['-wal', '-shm']) rmSync(database + suffix, { force: true })
    renameSync(replacement, database)
    await nextTurn()
    expect(opened.generation()).not.toBe(before)
    expect([find(), find(other)]).toEqual([undefined, other])
  })

  test('logs that are deleted, and made again by the next writer, leave no stale answer', async () => {
    makeDatabase()
    const opened = await open()
    const other = '/nix/store/11111111111111111111111111111111-other'
    expect([find(), find(other)]).toEqual([path, undefined])
    const before = opened.generation()
    for (const suffix of ['-wal', '-shm']) rmSync(`${database}${suffix}`, { force: true })
    await nextTurn()
    const writer = new DatabaseSync(database)
    writer.exec(
      `insert into ValidPaths(path, hash, registrationTime, narSize) values ('${other}', 'sha256:${'0'.repeat(64)}', 1, 120); delete from ValidPaths where path = '${path}'`,
    )
    await nextTurn()
    expect([find(), find(other)]).toEqual([undefined, other])
    expect(opened.generation()).not.toBe(before)
    writer.close()
  })

  test('is readable in each turn while another process writes and moves its log into the database all the time', async () => {
    makeDatabase()
    const script = `
      const database = new (require('node:sqlite').DatabaseSync)(${JSON.stringify(database)})
      database.exec('pragma wal_autocheckpoint = 1; pragma synchronous = off')
      for (let size = 1; ; size++) {
        database.exec('update ValidPaths set narSize = ' + size)
        if (size === 10) console.log('writing')
      }`
    const writer = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    try {
      await once(writer.stdout, 'data')
      const opened = await open()
      const generations = new Set<number>()
      for (let turn = 0; turn < 3000; turn++) {
        generations.add(opened.generation())
        expect(find()).toBe(path)
        await nextTurn()
      }
      expect(generations.size).toBeGreaterThan(10)
      expect(log.loud()).toEqual(['info Store database is open'])
    } finally {
      const exited = once(writer, 'exit')
      writer.kill('SIGKILL')
      await exited
    }
  })

  test('a backup that is copied over the database in place is read from the next call on', async () => {
    makeDatabase()
    const other = '/nix/store/11111111111111111111111111111111-other'
    const backup = join(dir, 'backup.sqlite')
    makeDatabase({ file: backup, paths: [other] })
    const opened = await open()
    expect([find(), find(other)]).toEqual([path, undefined])
    const before = opened.generation()
    copyFileSync(backup, database)
    await nextTurn()
    expect([find(), find(other)]).toEqual([undefined, other])
    expect(opened.generation()).not.toBe(before)
  })

  test('100,000 paths are looked up as fast as a few, and seen to come and go', async () => {
    makeDatabase({ paths: [] })
    const writer = new DatabaseSync(database)
    const name = (index: number) => `/nix/store/${String(index).padStart(32, '0')}-p`
    writer.exec('begin')
    const insert = writer.prepare('insert into ValidPaths(path, hash, registrationTime, narSize) values (?, ?, 1, 120)')
    for (let index = 0; index < 100_000; index++) insert.run(name(index), `sha256:${'0'.repeat(64)}`)
    writer.exec('commit')
    await open()
    for (let index = 0; index < 100_000; index += 997) expect(find(name(index))).toBe(name(index))
    writer.exec(`delete from ValidPaths where path = '${name(5)}'`)
    await nextTurn()
    expect([find(name(5)), find(name(6))]).toEqual([undefined, name(6)])
    writer.close()
  })

  test('a database that is removed is missed, and found again when it is back', async () => {
    makeDatabase()
    const opened = await open()
    expect(find()).toBe(path)
    const before = opened.generation()
    for (const suffix of ['', '-wal', '-shm']) rmSync(database + suffix, { force: true })
    await nextTurn()
    expect(() => opened.generation()).toThrow('there is no such file')
    makeDatabase()
    clock.advance(1000)
    expect(find()).toBe(path)
    expect(opened.generation()).not.toBe(before)
  })

  test('a database without a log is read while nobody writes, and every commit is seen in the next call', async () => {
    makeDatabase({ journal: 'truncate' })
    const opened = await open()
    expect(opened.health().mode).toBe('still')
    const seen = new Set([opened.generation()])
    const writer = new DatabaseSync(database)
    for (let count = 0; count < 10; count++) {
      writer.exec('pragma journal_mode = truncate')
      writer.exec(
        count % 2
          ? `delete from ValidPaths where path = '${other}'`
          : `insert into ValidPaths(path, hash, registrationTime, narSize) values ('${other}', 'sha256:${'0'.repeat(64)}', 1, 120)`,
      )
      await nextTurn()
      expect(find(other)).toBe(count % 2 ? undefined : other)
      seen.add(opened.generation())
    }
    expect(seen.size).toBe(11)
    writer.exec('begin immediate; update ValidPaths set narSize = 0')
    await nextTurn()
    expect(() => opened.generation()).toThrow(expect.objectContaining({ code: 'store-unavailable' }))
    writer.exec('rollback')
    writer.close()
    clock.advance(1000)
    expect(find()).toBe(path)
  })

  test('a database behind a link is read with the log beside its target', async () => {
    const target = join(dir, 'elsewhere/db.sqlite')
    makeDatabase({ file: target })
    mkdirSync(dirname(database))
    symlinkSync(target, database)
    await open()
    expect(find()).toBe(path)
    execFileSync('sqlite3', [target, `delete from ValidPaths`])
    await nextTurn()
    expect(find()).toBeUndefined()
  })

  test('a database that goes bad under us is a fault, then a diagnosis, then readable again', async () => {
    makeDatabase({ journal: 'truncate' })
    await open()
    expect(find()).toBe(path)
    copyFileSync(database, join(dir, 'backup'))
    writeFileSync(database, Buffer.alloc(16384, 'garbage'))
    await nextTurn()
    expect(() => find()).toThrow('it is damaged')
    cpSync(join(dir, 'backup'), database)
    clock.advance(1000)
    expect(find()).toBe(path)
  })

  test('after disposal every look-up is a fault', async () => {
    makeDatabase()
    const opened = await open()
    await opened[Symbol.asyncDispose]()
    expect(() => opened.generation()).toThrow(expect.objectContaining({ code: 'store-unavailable' }))
    expect(() => find()).toThrow(expect.objectContaining({ code: 'store-unavailable' }))
  })

  test('generation asks the database again after each turn of the event loop, and only then', async () => {
    makeDatabase()
    const opened = await open()
    await nextTurn()
    const before = opened.generation()
    execFileSync('sqlite3', [database, 'update ValidPaths set narSize = 200'])
    expect(opened.generation()).toBe(before)
    expect(opened.find(hashPartOf(path))?.info.narSize).toBe(200)
    await nextTurn()
    expect(opened.generation()).toBe(before + 1)
  })
})

describe('with real Nix', () => {
  let nix: NixFixture
  let real: ScratchStore

  beforeAll(async () => {
    nix = await openNixFixture()
    real = await nix.openStore()
  })
  afterAll(() => nix[Symbol.asyncDispose]())

  test('root leaves the logs of an idle store in place and sees each change in the next call', async () => {
    database = real.database
    const opened = await open()
    expect(opened.health().mode).toBe('live')
    for (let round = 0; round < 8; round++) {
      const generation = opened.generation()
      const added = await real.addFile(`f${round}`, `${round}`)
      expect(find(added)).toBe(added)
      expect(opened.generation()).toBeGreaterThan(generation)
      await (round % 2 ? real.deletePath(added) : real.collectGarbage())
      expect(find(added)).toBeUndefined()
    }
  })

  test('a store made by Nix while we wait for one is served at once', async () => {
    const late = await nix.makeDir('late')
    database = join(late, 'nix/var/nix/db/db.sqlite')
    await open()
    expect(problem()).toMatch(/no such file/)
    const { stdout } = await nix.run('nix-store', ['--store', late, '--add', import.meta.filename])
    clock.advance(1000)
    expect(find(stdout.trim())).toBe(stdout.trim())
  })
})
