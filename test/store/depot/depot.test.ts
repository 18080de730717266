/** The life of a depot: lock, schema, backups, damage, documents and logs. */
import { spawn } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { text } from 'node:stream/consumers'

import { describe, expect, test } from '@jest/globals'
import { Fault } from '../../../src/faults.ts'
import { narKey } from '../../../src/store/depot/depot-files.ts'
import { ManualClock } from '../../manual-clock.ts'
import { ann, ben, inChunks, type Made, make, noise, storeDir, TestDepot } from './fixture.ts'

function fileOf(test: TestDepot, made: Made): string {
  return join(test.dir, narKey({ narHash: made.path.narHash, fileHash: made.fileHash, compression: made.compression }))
}

async function untilDamaged(test: TestDepot): Promise<void> {
  while (test.depot.figures().damaged === 0) await new Promise(setImmediate)
}

describe('health', () => {
  test('says that the directory is gone, and that it is back', async () => {
    await using test = await TestDepot.open()
    renameSync(test.dir, `${test.dir}.away`)
    try {
      expect(test.depot.health()).toMatchObject({ isReadable: false, problem: expect.any(String) })
    } finally {
      renameSync(`${test.dir}.away`, test.dir)
    }
    expect(test.depot.health()).toMatchObject({ isReadable: true, problem: undefined, depot: { objects: 0 } })
  })
})

describe('opening', () => {
  test('a depot that is open is refused, and the message names the process', async () => {
    await using test = await TestDepot.open()
    const other = new TestDepot(test.dir)
    await expect(other.reopen()).rejects.toThrow(`process ${process.pid} is using it`)
    const script = `import { takeDirectoryLock } from ${JSON.stringify(new URL('../../../src/disk/lock.ts', import.meta.url).href)}; takeDirectoryLock(${JSON.stringify(test.dir)}, 1)`
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', '--input-type=module-typescript', '-e', script],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    )
    expect(await text(child.stderr)).toContain(`process ${process.pid} is using it`)
    await test.close()
    await other.reopen()
    await other.close()
  })

  test('a directory of something else is refused, and left alone', async () => {
    const test = new TestDepot()
    mkdirSync(test.dir)
    writeFileSync(join(test.dir, 'thesis.tex'), 'mine')
    await expect(test.reopen()).rejects.toThrow('"thesis.tex"')
    expect(readdirSync(test.dir)).toEqual(['thesis.tex'])
    await test[Symbol.asyncDispose]()
  })

  test('a database of a newer Burrow is refused, and the lock is free again', async () => {
    await using test = await TestDepot.open()
    await test.close()
    const database = new DatabaseSync(join(test.dir, 'depot.db'))
    database.exec('PRAGMA user_version = 99')
    database.close()
    await expect(test.reopen()).rejects.toThrow('version 99')
    await expect(test.reopen()).rejects.toThrow('version 99')
  })

  test('sweeps what an interrupted run left', async () => {
    await using test = await TestDepot.open()
    const app = make('app')
    await test.push(app)
    await test.close()
    writeFileSync(join(test.dir, 'in', 'half'), 'x')
    writeFileSync(join(test.dir, 'nar', '00', 'stray'), 'x')
    mkdirSync(join(test.dir, 'part', '77'))
    await test.reopen()
    expect(test.depot.figures().recovered).toEqual({ sweptFiles: 3, lostNars: 0 })
    expect(readdirSync(join(test.dir, 'in'))).toEqual([])
    expect((await test.read(app)).equals(app.file)).toBe(true)
  })

  test('reports a file that is gone, takes its path out, and takes it again when it is pushed', async () => {
    await using test = await TestDepot.open()
    const app = make('app')
    await test.push(app)
    await test.close()
    rmSync(fileOf(test, app))
    await test.reopen()
    expect(test.find(app)).toBeUndefined()
    expect(test.depot.figures()).toMatchObject({ damaged: 1, recovered: { lostNars: 1 } })
    expect(test.depot.who(app.path.storePath)[0]).toMatchObject({ action: 'lost' })
    expect((await test.depot.plan([app.path], 2 ** 20, 'ann')).paths).toEqual([
      { status: 'upload', count: 1, have: '' },
    ])
    expect(await test.push(app)).toEqual({ status: 'present' })
    expect((await test.read(app)).equals(app.file)).toBe(true)
  })
})

describe('a file that changed behind our back', () => {
  test('is withdrawn before its last chunk goes out, with an event, and comes back with the next push', async () => {
    await using test = await TestDepot.open()
    const app = make('app', { tree: noise(500_000) })
    await test.push(app)
    await test.reopen()
    const path = fileOf(test, app)
    const bytes = readFileSync(path)
    bytes[250_000]! ^= 1
    rmSync(path)
    writeFileSync(path, bytes)
    const before = test.depot.generation()
    await expect(test.read(app)).rejects.toBeInstanceOf(Fault)
    expect(test.find(app)).toBeUndefined()
    expect(test.depot.generation()).not.toBe(before)
    await untilDamaged(test)
    expect(test.find(app)).toBeUndefined()
    expect(test.depot.who(app.path.storePath)[0]).toMatchObject({
      action: 'damaged',
      detail: expect.stringContaining('has the hash'),
    })
    expect(await test.push(app)).toEqual({ status: 'present' })
    expect((await test.read(app)).equals(app.file)).toBe(true)
  })

  test('is noticed by its times after it was found right once, and in ranges too', async () => {
    await using test = await TestDepot.open()
    const app = make('app', { tree: noise(500_000) })
    await test.push(app)
    expect((await test.read(app)).equals(app.file)).toBe(true)
    const path = fileOf(test, app)
    // Touched only: read again, and still right.
    utimesSync(path, 1, 1)
    expect((await test.read(app, { start: 0, end: 1000 })).equals(app.file.subarray(0, 1000))).toBe(true)
    const bytes = Buffer.from(app.file)
    bytes[400_000]! ^= 1
    writeFileSync(path, bytes)
    await expect(test.read(app, { start: 0, end: 1000 })).rejects.toBeInstanceOf(Fault)
    expect(test.find(app)).toBeUndefined()
  })

  test('is found by verify, which says which paths it belongs to', async () => {
    await using test = await TestDepot.open()
    const [good, bad, short] = [make('good'), make('bad'), make('short', { tree: noise(5000) })]
    for (const made of [good, bad, short]) await test.push(made)
    expect(await test.verify()).toMatchObject({ files: 3, damaged: [] })
    const bytes = readFileSync(fileOf(test, bad))
    bytes[20]! ^= 1
    writeFileSync(fileOf(test, bad), bytes)
    truncateSync(fileOf(test, short), 10)
    const { damaged } = await test.verify()
    expect(damaged.flatMap(({ storePaths }) => storePaths).sort()).toEqual(
      [bad.path.storePath, short.path.storePath].sort(),
    )
    expect([good, bad, short].map((made) => test.find(made) !== undefined)).toEqual([true, false, false])
  })
})

test('a withdrawn object is absent in the very next look-up', async () => {
  await using test = await TestDepot.open()
  const app = make('app')
  await test.push(app)
  test.depot.withdraw(test.find(app)!, new Fault('nar-mismatch', 'test'))
  expect(test.find(app)).toBeUndefined()
  await untilDamaged(test)
  expect(test.depot.findNarFile(app.fileHash)).toBeUndefined()
})

test('the generation stands still while nothing that a look-up sees changes', async () => {
  await using test = await TestDepot.open()
  await test.push(make('app'))
  const before = test.depot.generation()
  test.depot.leases.covers(make('app').path.storePath)
  await test.depot.noteUses()
  await test.depot.setPin({ name: 'ann/x', keepLast: 1, storePaths: [], user: 'ann' })
  expect(test.depot.generation()).toBe(before)
  await test.push(make('other'))
  expect(test.depot.generation()).toBeGreaterThan(before)
})

test('the database is copied each day, whole, and two copies are kept', async () => {
  await using test = await TestDepot.openHere()
  await test.push(make('app'))
  for (let day = 0; day < 4; day++) {
    await test.depot.backUp()
    test.now += 86_400_000
  }
  expect(readdirSync(join(test.dir, 'backup')).sort()).toEqual(['depot-2026-01-17.db', 'depot-2026-01-18.db'])
  await test.close()
  copyFileSync(join(test.dir, 'backup', 'depot-2026-01-18.db'), join(test.dir, 'depot.db'))
  for (const name of ['depot.db-wal', 'depot.db-shm']) rmSync(join(test.dir, name), { force: true })
  await test.reopenHere()
  expect((await test.read(make('app'))).equals(make('app').file)).toBe(true)
})

test('maintenance writes last uses each minute, and collects and copies in the first hour', async () => {
  await using test = new TestDepot()
  const clock = new ManualClock()
  await test.reopenHere({ clock })
  await test.push(make('app'))
  test.now += 2 * 86_400_000
  test.depot.leases.covers(make('app').path.storePath)
  clock.advance(3_600_000)
  while (readdirSync(join(test.dir, 'backup')).length === 0) await new Promise(setImmediate)
  test.now += 29 * 86_400_000
  expect(await test.depot.collect({ isDryRun: true })).toMatchObject({ removed: [], keptObjects: 1 })
})

describe('documents and logs', () => {
  test('the same again is known, another content conflicts', async () => {
    await using test = await TestDepot.open()
    const id = `sha256:${'a'.repeat(64)}!out`
    const realisation = { dependentRealisations: {}, id, outPath: `${'0'.repeat(32)}-x`, signatures: [] }
    expect(await test.depot.putDocument('realisation', id, JSON.stringify(realisation), ann)).toBe('stored')
    expect(await test.depot.putDocument('realisation', id, JSON.stringify(realisation), ben)).toBe('known')
    expect(await test.depot.putDocument('realisation', id, '{}', ben)).toBe('conflict')
    expect(test.depot.findRealisation(id)).toEqual(realisation)
    expect(test.depot.findRealisation('../x')).toBeUndefined()
  })

  test('a log is kept compressed and read as it was', async () => {
    await using test = await TestDepot.open()
    const drvBaseName = `${'0'.repeat(32)}-app.drv`
    const log = 'building\n'.repeat(10_000)
    const put = (content: string, name = drvBaseName) =>
      test.depot.putLog({ drvBaseName: name, who: ann }, inChunks(Buffer.from(content)))
    expect(await put(log)).toBe('stored')
    expect(await put(log)).toBe('known')
    expect(await put('other')).toBe('conflict')
    expect(await put('x', '../../x.drv')).toMatchObject({ status: 'refused' })
    await test.reopen()
    expect(await text((await test.depot.openLog(drvBaseName))!)).toBe(log)
    expect(await test.depot.openLog(`${'1'.repeat(32)}-app.drv`)).toBeUndefined()
    expect(statSync(join(test.dir, 'log', '00', `${drvBaseName.slice(2)}.zst`)).size).toBe(
      test.depot.figures().usedBytes,
    )
  })
})

test('what was pushed has its place in the store port', async () => {
  await using test = await TestDepot.open()
  const app = make('app')
  await test.push(app)
  const object = test.find(app)!
  expect(object.store).toBe(test.depot)
  expect(test.depot.storeDir).toBe(storeDir)
  expect(test.depot.findNarFile(app.fileHash)).toMatchObject({ kind: 'file', fileSize: app.file.length })
  const release = await test.depot.leases.hold(app.path.storePath)
  release()
})
