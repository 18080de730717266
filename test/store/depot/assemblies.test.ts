import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { describe, expect, test } from '@jest/globals'
import { formatFingerprint } from '../../../src/nix/fingerprint.ts'
import { generateSecretKey } from '../../../src/nix/secret-key.ts'
import { directory, file } from '../../nar/trees.ts'
import { ann, compress, inChunks, make, noise, TestDepot } from './fixture.ts'
import { cat, commit, cut, digestOf, frameOf, mib, putPart } from './parts.ts'

const large = make('large', {
  tree: directory({ a: noise(2 * mib), b: noise(1.5 * mib), c: file('end') }),
  compression: 'none',
})
const count = cut(large.nar).length

async function plan(test: TestDepot, who = 'cat') {
  const { file: _file, ...path } = large.path
  return (await test.depot.plan([path], mib, who)).paths[0]
}

describe('a NAR in parts', () => {
  test('in any order, doubled, by several levels and encodings becomes the NAR, and the parts are gone', async () => {
    await using test = await TestDepot.open()
    expect(await plan(test)).toEqual({ status: 'upload', count, have: '' })
    expect(await putPart(test, large, 2, { level: 9 })).toEqual({ status: 'stored' })
    expect(await putPart(test, large, 2)).toEqual({ status: 'known' })
    expect(await putPart(test, large, 0, { encoding: 'gzip' })).toEqual({ status: 'stored' })
    expect(await plan(test)).toEqual({ status: 'upload', count, have: '0,2' })
    expect(await commit(test, [large])).toEqual([
      { status: 'incomplete', partBytes: mib, missing: count === 4 ? '1,3' : expect.any(String) },
    ])
    expect(await putPart(test, large, 0)).toEqual({ status: 'known' })
    for (let index = 1; index < count; index++)
      if (index !== 2) expect(await putPart(test, large, index)).toEqual({ status: 'stored' })
    expect(await commit(test, [large])).toEqual([{ status: 'registered' }])
    expect(await plan(test)).toEqual({ status: 'present' })
    expect(await putPart(test, large, 0)).toEqual({ status: 'complete' })
    const kept = await test.read(large)
    expect(execFileSync('zstd', ['-dc'], { input: kept, maxBuffer: 1e9 }).equals(large.nar)).toBe(true)
    expect(readdirSync(join(test.dir, 'part'))).toEqual([])
    expect(test.depot.figures()).toMatchObject({ usedBytes: kept.length, unfinishedUploads: 0, unfinishedBytes: 0 })
    expect(test.depot.who(large.path.storePath)).toMatchObject([{ action: 'push', user: 'cat' }])
  })

  test('goes on after a restart with what is there, wherever the check stood', async () => {
    await using test = await TestDepot.open()
    for (const index of [0, 1, 3]) await putPart(test, large, index)
    await test.reopen()
    expect(await plan(test)).toEqual({ status: 'upload', count, have: '0-1,3' })
    await test.reopen()
    for (let index = 2; index < count; index++) await putPart(test, large, index)
    await test.reopen()
    expect(await commit(test, [large])).toEqual([{ status: 'registered' }])
    expect((await test.verify()).damaged).toEqual([])
  })

  test('of another user is another upload; who completes first ends the others', async () => {
    await using test = await TestDepot.open()
    await putPart(test, large, 0, { who: ann })
    expect(await plan(test)).toEqual({ status: 'upload', count, have: '' })
    for (let index = 0; index < count; index++) await putPart(test, large, index)
    expect(await commit(test, [large])).toEqual([{ status: 'registered' }])
    expect(await putPart(test, large, 1, { who: ann })).toEqual({ status: 'complete' })
    expect(await commit(test, [large], { who: ann })).toEqual([{ status: 'present' }])
    while (readdirSync(join(test.dir, 'part')).length > 0) await new Promise(setImmediate)
    expect(test.depot.figures()).toMatchObject({ unfinishedUploads: 0 })
  })

  test('with every single part lost, swapped or altered is never registered as it is', async () => {
    await using test = await TestDepot.open()
    const frames = cut(large.nar).map((part) => frameOf(part))
    const refused = { status: 'refused', code: 'file-mismatch' }
    const flipped = Buffer.from(frames[0]!)
    flipped[flipped.length - 9]! ^= 1
    expect(await putPart(test, large, 0, { body: flipped, digest: digestOf(frames[0]!) })).toMatchObject(refused)
    expect(await putPart(test, large, 0, { body: frames[0]!.subarray(0, -1) })).toMatchObject(refused)
    expect(
      await putPart(test, large, 0, {
        body: Buffer.concat(
          cut(large.nar, mib / 2)
            .slice(0, 2)
            .map((half) => frameOf(half)),
        ),
      }),
    ).toMatchObject(refused)
    expect(await putPart(test, large, 0, { body: frames.at(-1)! })).toMatchObject(refused)
    expect(await putPart(test, large, 0, { body: Buffer.from('not zstd at all') })).toMatchObject(refused)
    // Parts of the same size in each other's place: only the NAR's own hash shows it.
    await putPart(test, large, 0, { body: frames[1]! })
    await putPart(test, large, 1, { body: frames[0]! })
    for (let index = 2; index < count; index++) await putPart(test, large, index)
    const [verdict] = await commit(test, [large])
    expect(['refused', 'incomplete']).toContain(verdict!.status)
    expect(test.find(large)).toBeUndefined()
    // A wrong part may have come after the end of its upload, and end the next one as well; then nothing wrong is left.
    const verdicts: string[] = []
    for (let round = 0; round < 3 && verdicts.at(-1) !== 'registered'; round++) {
      for (let index = 0; index < count; index++)
        expect(['stored', 'known']).toContain((await putPart(test, large, index)).status)
      verdicts.push((await commit(test, [large]))[0]!.status)
    }
    expect(verdicts.at(-1)).toBe('registered')
  })

  test('is refused when its form is wrong', async () => {
    await using test = await TestDepot.open()
    expect(await putPart(test, large, count)).toMatchObject({ status: 'refused' })
    expect(await putPart(test, large, 0, { partBytes: mib / 2 })).toMatchObject({ status: 'refused', code: 'mismatch' })
    expect(await putPart(test, large, 0, { body: randomBytes(2 * mib) })).toMatchObject({
      status: 'refused',
      code: 'too-big',
    })
    const bad = { ...large, path: { ...large.path, narHash: 'sha256:../../x' } }
    expect(await putPart(test, bad, 0)).toMatchObject({ status: 'refused', code: 'mismatch' })
    expect(readdirSync(join(test.dir, 'in'))).toEqual([])
  })

  test('untouched for a day is ended, and its room is free again', async () => {
    await using test = await TestDepot.openHere()
    await putPart(test, large, 1)
    await putPart(test, large, 0)
    expect(test.depot.figures()).toMatchObject({ unfinishedUploads: 1 })
    test.now += 25 * 3_600_000
    await test.reopenHere()
    expect(test.depot.figures()).toMatchObject({ unfinishedUploads: 0, usedBytes: 0 })
    expect(readdirSync(join(test.dir, 'part'))).toEqual([])
  })
})

describe('a commit', () => {
  test('registers small NARs of a batch and large ones in parts together, with a pin, or none of them', async () => {
    await using test = await TestDepot.open()
    const small = Array.from({ length: 30 }, (_, at) =>
      make(`small-${at}`, { references: at === 0 ? [] : [make(`small-${at - 1}`).path.storePath] }),
    )
    const frames = small.map(({ nar }) => frameOf(nar))
    const head = JSON.stringify({
      entries: small.map(({ path }, at) => ({
        narHash: path.narHash,
        narSize: path.narSize,
        bytes: frames[at]!.length,
      })),
    })
    const body = Buffer.concat([Buffer.from(`${head}\n`), ...frames])
    const batch = { bodyBytes: body.length, digest: digestOf(body), who: cat }
    expect(await test.depot.putBatch({ ...batch, digest: digestOf(Buffer.from('x')) }, inChunks(body))).toMatchObject({
      code: 'file-mismatch',
    })
    const replies = await test.depot.putBatch(batch, inChunks(body))
    expect(replies).toEqual(
      small.map(({ path }) => ({ status: 'stored', narHash: path.narHash, narSize: path.narSize })),
    )
    expect(await test.depot.putBatch(batch, inChunks(body))).toEqual(
      small.map(({ path }) => ({ status: 'known', narHash: path.narHash, narSize: path.narSize })),
    )
    const paths = [...small, large].map(({ path: { file: _file, ...path } }) => path)
    const pin = { name: 'cat/all', keepLast: 2, storePaths: [large.path.storePath] }
    const early = await test.depot.commit({ paths, who: cat, isAtomic: true, waitMs: 0, pin })
    expect(early).toEqual([...small.map(() => ({ status: 'pending' })), { status: 'incomplete' }])
    expect(test.depot.figures()).toMatchObject({ objects: 0 })
    expect(test.depot.pins()).toEqual([])
    for (let index = 0; index < count; index++) await putPart(test, large, index)
    let verdicts = await test.depot.commit({ paths, who: cat, isAtomic: true, waitMs: 10_000, pin })
    while (!('status' in verdicts) && verdicts.some(({ status }) => status === 'pending'))
      verdicts = await test.depot.commit({ paths, who: cat, isAtomic: true, waitMs: 10_000, pin })
    expect(verdicts).toEqual(paths.map(() => ({ status: 'registered' })))
    expect(test.depot.pins()).toMatchObject([
      { name: 'cat/all', keepLast: 2, revisions: [{ user: 'cat', storePaths: [large.path.storePath] }] },
    ])
  })

  test('a wrong entry of a batch is refused alone', async () => {
    await using test = await TestDepot.open()
    const [good, other] = [make('good'), make('other')]
    const frames = [frameOf(good.nar), frameOf(good.nar), compress(Buffer.alloc(other.path.narSize), 'zstd')]
    const entries = [good, other, other].map(({ path }, at) => ({
      narHash: path.narHash,
      narSize: path.narSize,
      bytes: frames[at]!.length,
    }))
    const body = Buffer.concat([Buffer.from(`${JSON.stringify({ entries })}\n`), ...frames])
    const replies = await test.depot.putBatch(
      { bodyBytes: body.length, digest: digestOf(body), who: cat },
      inChunks(body),
    )
    expect(replies).toMatchObject([{ status: 'stored' }, { status: 'refused' }, { status: 'refused', code: 'bad-nar' }])
  })

  test('notes what an upstream has, and the plan says so before', async () => {
    const upstream = generateSecretKey('upstream-1')
    await using test = new TestDepot()
    await test.reopen({ policy: { upstreamKeys: [upstream.publicKey] } })
    const { file: _file, ...path } = large.path
    const signed = { ...path, signatures: [upstream.sign(formatFingerprint(path))] }
    expect((await test.depot.plan([signed, { ...path, storePath: '/etc/passwd' }], mib, 'cat')).paths).toEqual([
      { status: 'elsewhere' },
      expect.objectContaining({ code: 'mismatch' }),
    ])
    expect(await test.depot.commit({ paths: [signed], who: cat, isAtomic: true, waitMs: 0 })).toEqual([
      { status: 'elsewhere' },
    ])
  })
})

describe('kill -9', () => {
  const program = fileURLToPath(new URL('./killed-assembly.ts', import.meta.url))

  function run(dir: string, operation: number): Promise<{ readonly lines: string[]; readonly isKilled: boolean }> {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, dir, String(operation)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.on('data', (text: Buffer) => (output += text.toString()))
    return new Promise((resolve) =>
      child.once('close', (_code, signal) =>
        resolve({ lines: output.split('\n').filter((line) => line !== ''), isKilled: signal === 'SIGKILL' }),
      ),
    )
  }

  test('at every step of an upload in parts: the next run has every acknowledged part, and completes it', async () => {
    const root = mkdtempSync(join(tmpdir(), 'burrow-kill-'))
    try {
      let kills = 0
      for (let operation = 1; ; operation += 2) {
        const dir = join(root, `run-${operation}`)
        const first = await run(dir, operation)
        if (!first.isKilled) break
        kills++
        const acknowledged = first.lines.filter((line) => line.startsWith('part ')).map((line) => Number(line.slice(5)))
        const second = await run(dir, 0)
        expect(second.isKilled).toBe(false)
        // What was acknowledged is not sent again.
        const sentAgain = second.lines.filter((line) => line.startsWith('part ')).map((line) => Number(line.slice(5)))
        expect(sentAgain.filter((index) => acknowledged.includes(index))).toEqual([])
        expect(second.lines.at(-1)).toMatch(/^commit (registered|present)$/)
        rmSync(dir, { recursive: true })
      }
      expect(kills).toBeGreaterThan(20)
    } finally {
      rmSync(root, { recursive: true, force: true })
    }
  }, 900_000)
})
