import { readdirSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, test } from '@jest/globals'
import { formatFingerprint } from '../../../src/nix/fingerprint.ts'
import { generateSecretKey } from '../../../src/nix/secret-key.ts'
import { directory, file } from '../../nar/trees.ts'
import { ann, ben, compress, inChunks, make, noise, sha256, TestDepot } from './fixture.ts'

describe('a NAR that was pushed', () => {
  test.each(['none', 'zstd', 'xz', 'br', 'bzip2', 'gzip'] as const)(
    'is kept as it came with compression %s, and served whole and in ranges',
    async (compression) => {
      await using test = await TestDepot.open()
      const app = make('app', {
        tree: directory({ bin: directory({ app: file('#!', true) }), data: noise(300_000) }),
        compression,
      })
      expect(await test.send(app)).toEqual({ status: 'stored', narHash: app.path.narHash, narSize: app.nar.length })
      expect(test.find(app)).toBeUndefined()
      expect(await test.register(app)).toEqual({ status: 'registered' })
      expect(test.find(app)).toMatchObject({
        info: { storePath: app.path.storePath, narHash: app.path.narHash, narSize: app.nar.length, references: [] },
        form: { kind: 'file', compression, fileHash: app.fileHash, fileSize: app.file.length },
        trust: 'ours',
      })
      expect((await test.read(app)).equals(app.file)).toBe(true)
      expect((await test.read(app, { start: 100, end: 5000 })).equals(app.file.subarray(100, 5000))).toBe(true)
      await test.reopen()
      expect((await test.read(app, { start: 100, end: 5000 })).equals(app.file.subarray(100, 5000))).toBe(true)
      expect((await test.read(app)).equals(app.file)).toBe(true)
    },
  )

  test('of several zstd frames is taken and kept as it came', async () => {
    await using test = await TestDepot.open()
    const whole = make('frames', { tree: noise(200_000) })
    const frames = Buffer.concat(
      [0, 1, 2, 3].map((part) => compress(whole.nar.subarray(part * 60_000, (part + 1) * 60_000), 'zstd')),
    )
    const made = { ...make('frames', { nar: whole.nar }), file: frames, fileHash: sha256(frames) }
    expect(await test.send(made)).toMatchObject({ status: 'stored', narHash: whole.path.narHash })
    expect(
      await test.register(made, ann, {
        file: { fileHash: made.fileHash, fileSize: frames.length, compression: 'zstd' },
      }),
    ).toEqual({
      status: 'registered',
    })
    expect((await test.read(made)).equals(frames)).toBe(true)
  })

  test('again is known, by the same file or another of the same NAR, and one file is kept', async () => {
    await using test = await TestDepot.open()
    const zstd = make('app', { tree: noise(10_000) })
    expect(await test.push(zstd)).toEqual({ status: 'registered' })
    expect(await test.send(zstd)).toMatchObject({ status: 'known' })
    expect(
      test.depot.admitNar({ fileHash: zstd.fileHash, fileSize: zstd.file.length, compression: 'zstd', who: ben }),
    ).toEqual({ status: 'known' })
    const other = make('app', { nar: zstd.nar, compression: 'xz' })
    expect(await test.push(other, ben)).toEqual({ status: 'present' })
    expect(test.find(zstd)).toMatchObject({ form: { compression: 'zstd', fileHash: zstd.fileHash } })
    const copy = make('copy', { nar: zstd.nar, compression: 'xz' })
    expect(await test.register(copy)).toEqual({ status: 'registered' })
    expect(test.depot.figures()).toMatchObject({ objects: 2, nars: 1, usedBytes: zstd.file.length })
  })

  test('by many at once in the same moment is stored once and known to the others', async () => {
    await using test = await TestDepot.open()
    const app = make('app', { tree: noise(300_000) })
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => test.send(app)))
    expect(outcomes.filter(({ status }) => status === 'stored')).toHaveLength(1)
    expect(outcomes.filter(({ status }) => status === 'known')).toHaveLength(7)
    expect(await test.register(app)).toEqual({ status: 'registered' })
    expect(readdirSync(join(test.dir, 'in'))).toEqual([])
    expect((await test.read(app)).equals(app.file)).toBe(true)
  })
})

describe('the same path', () => {
  test('with another NAR conflicts: the first stays, and the reply says since when and by whom', async () => {
    await using test = await TestDepot.openHere()
    const [first, second] = [make('app', { tree: file('one') }), make('app', { tree: file('two') })]
    await test.push(first)
    const conflict = { status: 'conflict', since: test.now, by: 'ann', narHash: first.path.narHash }
    test.now += 60_000
    expect(await test.push(second, ben)).toEqual(conflict)
    expect((await test.read(first)).equals(first.file)).toBe(true)
    expect(test.depot.who(first.path.storePath).map(({ action, user }) => [action, user])).toEqual([
      ['conflict', 'ben'],
      ['push', 'ann'],
    ])
  })

  test('pushed with two NARs in the same millisecond: one wins, the other conflicts, and readers see the winner whole', async () => {
    await using test = await TestDepot.open()
    const builds = [make('app', { tree: noise(50_000) }), make('app', { tree: noise(50_000) })]
    await Promise.all(builds.map((build) => test.send(build)))
    const verdicts = await Promise.all(builds.map((build, at) => test.register(build, at === 0 ? ann : ben)))
    expect(verdicts.map(({ status }) => status).sort()).toEqual(['conflict', 'registered'])
    const winner = builds[verdicts.findIndex(({ status }) => status === 'registered')]!
    expect((await test.read(winner)).equals(winner.file)).toBe(true)
  })

  test('with the same NAR unites the signatures', async () => {
    await using test = await TestDepot.open()
    const app = make('app')
    const keys = ['one-1', 'two-1'].map(generateSecretKey)
    const [one, two] = keys.map((key) => key.sign(formatFingerprint(app.path)))
    await test.send(app)
    expect(await test.register(app, ann, { signatures: [one!, 'not a signature'] })).toEqual({ status: 'registered' })
    const before = test.depot.generation()
    expect(await test.register(app, ben, { signatures: [two!] })).toEqual({ status: 'present' })
    expect(test.find(app)?.info.signatures).toEqual([one, two])
    expect(test.depot.generation()).toBeGreaterThan(before)
  })
})

describe('references', () => {
  test('must be here, in the same commit, in the local store or at an upstream', async () => {
    await using test = await TestDepot.open()
    const lib = make('lib')
    const app = make('app', { references: [lib.path.storePath] })
    expect(await test.push(app)).toMatchObject({
      status: 'refused',
      code: 'missing-reference',
      reason: expect.stringContaining(lib.path.storePath),
    })
    await test.send(lib)
    expect(await test.depot.register({ paths: [app.path, lib.path], who: ann, isAtomic: true })).toEqual([
      { status: 'registered' },
      { status: 'registered' },
    ])
    expect(test.find(app)?.info.references).toEqual([lib.path.storePath])
  })

  test('to itself are fine, in a circle they are refused', async () => {
    await using test = await TestDepot.open()
    const self = make('self', { references: [make('self').path.storePath] })
    expect(await test.push(self)).toEqual({ status: 'registered' })
    const a = make('a', { references: [make('b').path.storePath] })
    const b = make('b', { references: [a.path.storePath] })
    for (const made of [a, b]) await test.send(made)
    const verdicts = await test.depot.register({ paths: [a.path, b.path], who: ann, isAtomic: false })
    expect(verdicts).toEqual([
      expect.objectContaining({ code: 'mismatch' }),
      expect.objectContaining({ code: 'mismatch' }),
    ])
  })

  test('signed by a trusted cache need not be sent; a forged signature does not help', async () => {
    const upstream = generateSecretKey('upstream-1')
    await using test = await TestDepot.open()
    await test.reopen({ policy: { upstreamKeys: [upstream.publicKey] } })
    const glibc = make('glibc')
    const app = make('app', { references: [glibc.path.storePath] })
    await test.send(app)
    const forged = {
      ...glibc.path,
      file: undefined,
      signatures: [upstream.sign(formatFingerprint({ ...glibc.path, narSize: 1 }))],
    }
    expect(await test.depot.register({ paths: [forged, app.path], who: ann, isAtomic: false })).toEqual([
      expect.objectContaining({ code: 'missing-nar' }),
      expect.objectContaining({ code: 'missing-reference' }),
    ])
    const signed = { ...forged, signatures: [upstream.sign(formatFingerprint(glibc.path))] }
    expect(await test.depot.register({ paths: [signed, app.path], who: ann, isAtomic: true })).toEqual([
      { status: 'elsewhere' },
      { status: 'registered' },
    ])
    const other = make('other', { references: [glibc.path.storePath] })
    expect(await test.push(other)).toEqual({ status: 'registered' })
    expect(test.find(glibc)).toBeUndefined()
  })

  test('that only the local store has are adopted with their closure; what a trusted cache signed is not copied', async () => {
    const upstream = generateSecretKey('upstream-1')
    const glibc = make('glibc', { tree: noise(1000) })
    const lib = make('lib', { tree: noise(200_000), references: [glibc.path.storePath], compression: 'none' })
    const tool = make('tool', { references: [lib.path.storePath] })
    const app = make('app', { references: [tool.path.storePath] })
    const infos = new Map(
      [glibc, lib, tool].map(({ path }) => [path.storePath, { ...path, registrationTime: 1, ultimate: true }] as const),
    )
    infos.set(glibc.path.storePath, {
      ...infos.get(glibc.path.storePath)!,
      signatures: [upstream.sign(formatFingerprint(glibc.path))],
    })
    const opened: string[] = []
    const local = {
      describeLocal: async (paths: readonly string[]) => paths.map((path) => infos.get(path)),
      openLocal: async (path: string) => {
        opened.push(path)
        const made = [lib, tool].find((one) => one.path.storePath === path)
        return made && { compression: made.compression, body: inChunks(made.file) }
      },
    }
    await using test = await TestDepot.open()
    await test.reopen({ local, policy: { upstreamKeys: [upstream.publicKey] } })
    expect(await test.push(app)).toEqual({ status: 'registered' })
    expect(opened.sort()).toEqual([lib.path.storePath, tool.path.storePath].sort())
    expect((await test.read(lib)).equals(lib.file)).toBe(true)
    expect((await test.read(tool)).equals(tool.file)).toBe(true)
    expect(test.find(glibc)).toBeUndefined()
    expect(test.depot.who(lib.path.storePath)).toMatchObject([{ action: 'adopt', user: 'ann' }])
    const rebuilt = make('glibc', { tree: noise(1000) })
    expect(await test.push(rebuilt)).toMatchObject({
      status: 'conflict',
      by: "this cache's own machine",
      narHash: glibc.path.narHash,
    })
  })

  test('that take long to copy from the local store do not hold up the reply: the copy goes on once, and the next push finds it', async () => {
    const lib = make('lib', { tree: noise(200_000), compression: 'none' })
    const app = make('app', { references: [lib.path.storePath] })
    let release: () => void = () => {}
    const released = new Promise<void>((resolve) => (release = resolve))
    let opened = 0
    async function* slow() {
      yield lib.file.subarray(0, 1000)
      await released
      yield lib.file.subarray(1000)
    }
    const local = {
      describeLocal: async (paths: readonly string[]) =>
        paths.map((path) =>
          path === lib.path.storePath ? { ...lib.path, registrationTime: 1, ultimate: true } : undefined,
        ),
      openLocal: async () => {
        opened++
        return { compression: 'none' as const, body: slow() }
      },
    }
    await using test = new TestDepot()
    await test.reopen({ local, policy: { adoptionWaitMs: 50 } })
    expect(await test.push(app)).toMatchObject({ status: 'refused', code: 'busy' })
    expect(await test.push(app)).toMatchObject({ status: 'refused', code: 'busy' })
    release()
    let verdict = await test.register(app)
    while (verdict.status === 'refused' && verdict.code === 'busy') verdict = await test.register(app)
    expect(verdict).toEqual({ status: 'registered' })
    expect(opened).toBe(1)
    expect((await test.read(lib)).equals(lib.file)).toBe(true)
  })

  test('that cannot be copied from the local store name why', async () => {
    const lib = make('lib', { compression: 'none' })
    const app = make('app', { references: [lib.path.storePath] })
    const local = {
      describeLocal: async (paths: readonly string[]) =>
        paths.map((path) =>
          path === lib.path.storePath ? { ...lib.path, registrationTime: 1, ultimate: true } : undefined,
        ),
      openLocal: async () => ({ compression: 'none' as const, body: inChunks(Buffer.from(lib.file).fill(0, 100)) }),
    }
    await using test = new TestDepot()
    await test.reopen({ local })
    expect(await test.push(app)).toMatchObject({
      code: 'missing-reference',
      reason: expect.stringContaining('Cannot read the NAR at byte'),
    })
    expect(test.depot.figures()).toMatchObject({ objects: 0, damaged: 0 })
  })

  test('of what an upstream gave stay there; its NAR is checked against the hash, and counts towards no quota', async () => {
    await using test = new TestDepot()
    await test.reopen({ policy: { bytesPerDayPerUser: 0 } })
    const app = make('app', { tree: noise(100_000), references: [make('glibc').path.storePath] })
    const { narHash, narSize } = app.path
    const wrong = await test.depot.fetchNar(
      { narHash: make('x').path.narHash, narSize, compression: 'zstd', who: ann },
      inChunks(app.file),
    )
    expect(wrong).toMatchObject({ status: 'refused', code: 'mismatch' })
    expect(
      await test.depot.fetchNar({ narHash, narSize, compression: 'zstd', who: ann }, inChunks(app.file)),
    ).toMatchObject({ status: 'stored' })
    const { file: _file, ...path } = app.path
    expect(await test.depot.register({ paths: [path], who: ann, isAtomic: true, references: 'any' })).toEqual([
      { status: 'registered' },
    ])
    expect((await test.read(app)).equals(app.file)).toBe(true)
  })

  test('of an atomic commit that fails leave nothing behind', async () => {
    await using test = await TestDepot.open()
    const [good, bad] = [make('good'), make('bad', { references: [make('nowhere').path.storePath] })]
    for (const made of [good, bad]) await test.send(made)
    const verdicts = await test.depot.register({
      paths: [good.path, bad.path],
      who: ann,
      isAtomic: true,
      pin: { name: 'ann/x', keepLast: 1, storePaths: [] },
    })
    expect(verdicts).toEqual([
      expect.objectContaining({ code: 'policy' }),
      expect.objectContaining({ code: 'missing-reference' }),
    ])
    expect(test.find(good)).toBeUndefined()
    expect(test.depot.pins()).toEqual([])
  })
})

describe('policy', () => {
  test('a refused name, a missing required signature, a quota and a full depot are refused with their reasons', async () => {
    const key = generateSecretKey('ci-1')
    await using test = new TestDepot()
    await test.reopenHere({
      policy: { refuse: ['-secret'], requireSignatures: [key.publicKey], bytesPerDayPerUser: 500_000 },
      maxBytes: 2_000_000,
    })
    const [secret, app] = [make('my-secret'), make('app')]
    expect(await test.push(secret)).toMatchObject({ code: 'policy', reason: expect.stringContaining('-secret') })
    expect(await test.push(app)).toMatchObject({ code: 'policy', reason: expect.stringContaining('ci-1') })
    expect(await test.register(app, ann, { signatures: [key.sign(formatFingerprint(app.path))] })).toEqual({
      status: 'registered',
    })
    expect(await test.send(make('large', { tree: noise(499_990) }))).toMatchObject({ code: 'quota' })
    expect(await test.send(make('larger', { tree: noise(3_000_000) }), ben)).toMatchObject({ code: 'quota' })
    await test.reopenHere({ maxBytes: 2_000_000 })
    expect(await test.send(make('larger', { tree: noise(3_000_000) }), ben)).toMatchObject({ code: 'no-room' })
    test.now += 86_400_000
    await test.reopenHere({ policy: { bytesPerDayPerUser: 500_000 } })
    expect(await test.send(make('large', { tree: noise(490_000) }))).toMatchObject({ status: 'stored' })
  })
})
