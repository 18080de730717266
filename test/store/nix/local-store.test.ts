/**
 * The local store as the cache uses it: records, withdrawals, leases and realisations of a real Nix store, and rows Nix
 * would not write.
 */

import { chmodSync, cpSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import { findDecompressors } from '../../../appliance/server/decompressors.ts'
import { Fault } from '../../../src/faults.ts'
import { parseHash } from '../../../src/nix/hash.ts'
import { hashPartOf } from '../../../src/nix/store-path.ts'
import { type LocalStore, openLocalStore } from '../../../src/store/nix/local-store.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import { ManualClock } from '../../manual-clock.ts'
import { type RecordedLog, recordLog } from '../recorded-log.ts'

let nix: NixFixture
let scratch: ScratchStore
let closure: BuiltClosure
let store: LocalStore
let clock: ManualClock
let log: RecordedLog

const leases = { narInfoSeconds: 600, maxPaths: 100 }
const mismatch = new Fault('nar-mismatch', 'it does not hash to what the record says')
const nextTurn = () => new Promise(setImmediate)
const findObject = (storePath: string) => store.find(hashPartOf(storePath))
const find = (storePath: string) => findObject(storePath)?.info

async function open(of: ScratchStore, daemonSocket?: string): Promise<LocalStore> {
  const { storeDir, realStoreDir, database } = of
  const decompressors = findDecompressors(process.env.PATH)
  return openLocalStore({ storeDir, realStoreDir, database, daemonSocket, leases, decompressors, log, clock })
}

/** Changes the database behind Nix's back. */
function alter(sql: string): void {
  const database = new DatabaseSync(scratch.database)
  database.exec(sql)
  database.close()
}

beforeAll(async () => {
  nix = await openNixFixture()
  scratch = await nix.openStore()
  closure = await scratch.buildClosure()
})
afterAll(() => nix[Symbol.asyncDispose]())
beforeEach(async () => {
  clock = new ManualClock()
  log = recordLog()
  store = await open(scratch)
})
afterEach(async () => store[Symbol.asyncDispose]())

describe('find', () => {
  test('find tells what nix path-info tells', async () => {
    const key = await nix.generateKey('local-1')
    await scratch.sign(key.secretFile, [closure.app])
    for (const storePath of [...closure.appClosure, closure.appDev]) {
      const info = find(storePath)!
      const told = await scratch.pathInfo(storePath)
      expect(info.storePath).toBe(told.path)
      expect(parseHash(info.narHash)).toEqual(parseHash(told.narHash))
      expect(info.narHash).toMatch(/^sha256:[0-9a-z]{52}$/)
      expect(info.narSize).toBe(told.narSize)
      expect(info.references).toEqual([...told.references].sort())
      expect(info.deriver).toBe(told.deriver)
      expect(info.signatures).toEqual(told.signatures ?? [])
      expect(info.contentAddress).toBe(told.ca)
      expect(info.registrationTime).toBe(told.registrationTime)
      expect(info.ultimate).toBe(told.ultimate ?? false)
    }
    expect(find(closure.app)!.references).toContain(closure.app)
    expect(find(closure.app)!.signatures).toHaveLength(1)
    expect(find(closure.text)!.contentAddress).toMatch(/^text:sha256:/)
  })

  test('find finds nothing for hash parts before, between and behind those of the store', () => {
    for (const hashPart of [
      '0'.repeat(32),
      'z'.repeat(32),
      `${hashPartOf(closure.app).slice(0, 31)}${hashPartOf(closure.app).endsWith('0') ? '1' : '0'}`,
    ])
      expect(store.find(hashPart)).toBeUndefined()
  })

  test('a lease holds a path from the narinfo to the NAR, and a collection after its end takes it', async () => {
    const daemon = await scratch.startDaemon()
    await using leasing = await open(scratch, daemon.socket)
    const storePath = await scratch.addFile('leased', 'x')
    await leasing.leases.take(storePath)
    await scratch.addRoot(closure.app)
    await scratch.addRoot(closure.appDev)
    await scratch.collectGarbage()
    expect(leasing.find(hashPartOf(storePath))?.info.storePath).toBe(storePath)
    clock.advance(600_000)
    await scratch.collectGarbage()
    expect(leasing.find(hashPartOf(storePath))).toBeUndefined()
    await daemon[Symbol.asyncDispose]()
  })
})

describe('rows that Nix would not write', () => {
  let storePath: string

  beforeEach(async () => {
    storePath = await scratch.addFile('odd', 'x')
  })
  afterEach(() => scratch.deletePath(storePath).catch(() => {}))

  test.each([
    ['narSize = null', 'narSize is missing'],
    ['narSize = 0', 'narSize is missing'],
    ['narSize = -5', 'narSize is missing'],
    ["narSize = 'many'", 'narSize is missing'],
    ['narSize = 9223372036854775807', 'a number is out of range'],
    ["hash = 'sha256:00'", 'hash is no SHA-256'],
    [`hash = 'md5:${'0'.repeat(32)}'`, 'hash is no SHA-256'],
    ["hash = x'00'", 'hash is no SHA-256'],
    ["registrationTime = 'soon'", 'registrationTime is no number of seconds'],
    [`path = path || char(10) || 'Sig: x'`, 'path is no store path'],
    [`path = path || '/../../etc/passwd'`, 'path is no store path'],
  ])('a row with %s is absent, and logged once', async (change, reason) => {
    alter(`update ValidPaths set ${change} where path = '${storePath}'`)
    const reasons: unknown[] = []
    log.warn = (fields) => void reasons.push((fields as { reason: string }).reason)
    expect(find(storePath)).toBeUndefined()
    expect(find(storePath)).toBeUndefined()
    expect(reasons).toEqual([reason])
    alter(`delete from ValidPaths where path like '${storePath}%'`)
  })

  test('signatures that clients refuse are left out, others kept once and in order', () => {
    const good = (name: string) => `${name}:${'A'.repeat(86)}==`
    alter(
      `update ValidPaths set sigs = '${good('b')} x y: :z ${good('a')} c:AAAA ${good('b')}' where path = '${storePath}'`,
    )
    expect(find(storePath)?.signatures).toEqual([good('b'), good('a')])
  })

  test('a deriver that is no store path, and a content address of an unknown form, are left out', () => {
    alter(
      `update ValidPaths set deriver = '/etc/passwd', ca = 'fixed:' || char(10) || 'Sig: x' where path = '${storePath}'`,
    )
    expect(find(storePath)).toMatchObject({ deriver: undefined, contentAddress: undefined })
  })
})

describe('form', () => {
  test('form leads from the logical path to the files', () => {
    expect(findObject(closure.app)).toMatchObject({
      form: { kind: 'tree', realPath: store.health().location + closure.app.slice('/nix/store'.length) },
    })
  })
})

describe('findSystem', () => {
  test('findSystem reads the system from a valid derivation, and from no other', async () => {
    const { stdout } = await nix.run('nix-instantiate', ['--eval', '-E', 'builtins.currentSystem'])
    expect(store.findSystem(closure.appDrv)).toBe(JSON.parse(stdout))
    expect(store.findSystem(closure.appDrv)).toBe(JSON.parse(stdout))
    expect(store.findSystem(closure.app)).toBeUndefined()
    expect(store.findSystem('/nix/store/00000000000000000000000000000000-x.drv')).toBeUndefined()
    expect(store.findSystem('/etc/passwd')).toBeUndefined()
  })
})

describe('withdraw', () => {
  let storePath: string

  beforeEach(async () => {
    storePath = await scratch.addFile('withdrawn', 'x')
  })
  afterEach(() => scratch.deletePath(storePath).catch(() => {}))

  test('a withdrawn path is absent in the next call, logged, counted, and generation moves', () => {
    const before = store.generation()
    store.withdraw(findObject(storePath)!, mismatch)
    expect(find(storePath)).toBeUndefined()
    expect(store.generation()).not.toBe(before)
    expect(store.health().withdrawn).toEqual({ now: 1, total: 1 })
    expect(log.loud().at(-1)).toMatch(/^error A store path was withdrawn/)
    expect(find(closure.app)).toBeDefined()
  })

  test('it stays withdrawn while others are added and removed', async () => {
    store.withdraw(findObject(storePath)!, mismatch)
    await scratch.deletePath(await scratch.addFile('something-else', 'y'))
    clock.advance(5000)
    await nextTurn()
    store.generation()
    expect(find(storePath)).toBeUndefined()
  })

  test('it is back when it was deleted and added again', async () => {
    store.withdraw(findObject(storePath)!, mismatch)
    await scratch.deletePath(storePath)
    await scratch.addFile('withdrawn', 'x')
    expect(find(storePath)?.storePath).toBe(storePath)
    expect(store.health().withdrawn).toEqual({ now: 0, total: 1 })
    expect(log.loud().at(-1)).toMatch(/^info A withdrawn store path is back/)
  })

  test('it is back when its files were replaced, and whoever compares generations hears of it', async () => {
    store.withdraw(findObject(storePath)!, mismatch)
    const before = store.generation()
    const real = scratch.realPathOf(storePath)
    cpSync(real, `${real}.tmp`)
    renameSync(`${real}.tmp`, real)
    clock.advance(1000)
    await nextTurn()
    expect(store.generation()).not.toBe(before)
    expect(find(storePath)?.storePath).toBe(storePath)
  })

  test('a real repair brings a real path back', async () => {
    const remote = await nix.makeDir('remote')
    const key = await nix.generateKey('repair-1')
    await scratch.sign(key.secretFile, [storePath])
    await nix.run('nix', ['copy', '--from', scratch.root, '--to', `file://${remote}`, storePath])
    const real = scratch.realPathOf(storePath)
    chmodSync(real, 0o644)
    writeFileSync(real, 'spoilt')
    store.withdraw(findObject(storePath)!, mismatch)
    expect(find(storePath)).toBeUndefined()
    const repair = [
      '--repair-path',
      storePath,
      '--option',
      'substituters',
      `file://${remote}`,
      '--option',
      'trusted-public-keys',
      key.publicKey,
    ]
    await scratch.runInside('nix-store', repair)
    expect(readFileSync(real, 'utf8')).toBe('x')
    expect(find(storePath)?.storePath).toBe(storePath)
  })

  test('a withdrawal of a record that has changed meanwhile does nothing', async () => {
    const old = findObject(storePath)!
    store.withdraw({ ...old, info: { ...old.info, registrationTime: old.info.registrationTime - 1 } }, mismatch)
    expect(find(storePath)).toBeDefined()
    await scratch.deletePath(storePath)
    store.withdraw(old, mismatch)
    expect(store.health().withdrawn).toEqual({ now: 0, total: 0 })
  })

  test('a withdrawal while the database is away counts when it is back', async () => {
    const object = findObject(storePath)!
    renameSync(scratch.database, `${scratch.database}.away`)
    await nextTurn()
    expect(() => find(storePath)).toThrow()
    store.withdraw(object, mismatch)
    renameSync(`${scratch.database}.away`, scratch.database)
    clock.advance(1000)
    expect(find(storePath)).toBeUndefined()
    expect(find(closure.app)).toBeDefined()
  })

  test('withdrawals of paths that are collected are forgotten', async () => {
    store.withdraw(findObject(storePath)!, mismatch)
    await scratch.deletePath(storePath)
    clock.advance(1000)
    await nextTurn()
    store.generation()
    expect(store.health().withdrawn.now).toBe(0)
  })
})

describe('findRealisation', () => {
  const hash = (digit: string) => `sha256:${digit.repeat(64)}`
  const tables = `
    create table if not exists Realisations (id integer primary key autoincrement not null, drvPath text not null, outputName text not null,
      outputPath integer not null, signatures text, foreign key (outputPath) references ValidPaths(id) on delete cascade);
    create table if not exists RealisationsRefs (referrer integer not null, realisationReference integer);`

  test('findRealisation finds nothing where the feature was never used, and in rows of its tables afterwards', () => {
    const id = `${hash('a')}!out`
    expect(store.findRealisation(id)).toBeUndefined()
    const idOf = (storePath: string) => `(select id from ValidPaths where path = '${storePath}')`
    const signature = `local-1:${'A'.repeat(86)}==`
    alter(`${tables}
      insert into Realisations values (1, '${hash('a')}', 'out', ${idOf(closure.app)}, '${signature} rubbish');
      insert into Realisations values (2, '${hash('b')}', 'lib', ${idOf(closure.lib)}, null);
      insert into RealisationsRefs values (1, 2);`)
    expect(store.findRealisation(id)).toEqual({
      dependentRealisations: { [`${hash('b')}!lib`]: basename(closure.lib) },
      id,
      outPath: basename(closure.app),
      signatures: [signature],
    })
    expect(store.findRealisation(`${hash('b')}!lib`)).toEqual({
      dependentRealisations: {},
      id: `${hash('b')}!lib`,
      outPath: basename(closure.lib),
      signatures: [],
    })
    for (const absent of [
      `${hash('c')}!out`,
      `${hash('a')}!lib`,
      hash('a'),
      '',
      `${hash('a')}!out' or 1=1`,
      `${hash('A')}!out`,
    ])
      expect(store.findRealisation(absent)).toBeUndefined()
    alter('drop table Realisations; drop table RealisationsRefs')
    expect(store.findRealisation(id)).toBeUndefined()
  })

  test('findRealisation finds what a real content-addressed build registered', async () => {
    await using ca = await openNixFixture({ features: ['ca-derivations'] })
    const caStore = await ca.openStore()
    const builder =
      'system = builtins.currentSystem; builder = "/bin/sh"; PATH = "/bin:/usr/bin"; __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"'
    const expression = `rec {
      dep = derivation { name = "dep"; ${builder}; args = [ "-c" "echo dep > $out" ]; };
      top = derivation { name = "top"; ${builder}; args = [ "-c" "echo \${dep} > $out" ]; };
    }`
    const [top] = await caStore.build(expression, 'top')
    await using opened = await open(caStore)
    const rows = new DatabaseSync(caStore.database, { readOnly: true })
      .prepare('select drvPath, outputName from Realisations order by id')
      .all()
    const found = rows.map((row) => opened.findRealisation(`${row.drvPath}!${row.outputName}`)!)
    const depFound = found.find(({ outPath }) => outPath.endsWith('-dep'))!
    expect(depFound.dependentRealisations).toEqual({})
    // Nix registers the derivation as written and as resolved, which depends on nothing.
    const topsFound = found.filter(({ outPath }) => `/nix/store/${outPath}` === top)
    expect(topsFound.map(({ dependentRealisations }) => dependentRealisations)).toEqual(
      expect.arrayContaining([{}, { [depFound.id]: depFound.outPath }]),
    )
  })
})

describe('openLog', () => {
  test('openLog finds the log beside the state directory', async () => {
    const chunks = await (await store.openLog(basename(closure.appDrv)))!.toArray()
    expect(Buffer.concat(chunks).toString()).toBe('building app\nto-stderr\n')
  })
})
