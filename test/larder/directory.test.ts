import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { describe, expect, test } from '@jest/globals'

import { readAll, readChunk, TestLarder } from './fixture.ts'
import { makeNar } from './stand-in-packer.ts'

const size = 100_000

describe("a larder's directory", () => {
  test('is made for us alone, with a tag that tells backups to leave it out', async () => {
    await using test = await TestLarder.open()
    await test.larder.settle(test.packer.make('app', size))
    expect((await stat(test.dir)).mode & 0o777).toBe(0o700)
    expect(await readFile(join(test.dir, 'CACHEDIR.TAG'), 'utf8')).toMatch(
      /^Signature: 8a477f597d28d172789f06886806bc55\n/,
    )
    for (const name of await test.keptNames()) expect((await stat(join(test.dir, name))).mode & 0o777).toBe(0o600)
  })

  test('is refused when it holds other things, and nothing is written to it', async () => {
    for (const names of [
      ['thesis.tex'],
      ['tmp-0123456789', 'photo.jpg'],
      ['CACHEDIR.TAG'],
      ['lock'],
      ['tmp-0123456789'],
    ]) {
      await using test = await TestLarder.prepare()
      await mkdir(test.dir)
      for (const name of names) await writeFile(join(test.dir, name), 'mine')
      await expect(test.reopen()).rejects.toMatchObject({
        code: 'larder-unwritable',
        message: expect.stringContaining(`Cannot use "${test.dir}" as larder`),
      })
      expect((await readdir(test.dir)).sort()).toEqual([...names].sort())
    }
  })

  test('may hold what a fresh disk holds', async () => {
    await using test = await TestLarder.prepare()
    await mkdir(join(test.dir, 'lost+found'), { recursive: true })
    await test.reopen()
    await test.larder.settle(test.packer.make('app', size))
    expect(test.larder.stats.files).toBe(1)
  })

  test('once it is ours keeps strange files as they are, and tells of them once', async () => {
    await using test = await TestLarder.open()
    const nar = makeNar('app', 1000)
    const strange = [
      'notes.txt',
      `${nar.narHash.slice(7)}.zstd-3-1.5.7.${nar.fileHash.slice(7)}`,
      `${nar.narHash.slice(7)}.xz-6.${nar.fileHash.slice(7)}.1000`,
      'tmp-UPPER',
    ]
    for (const name of strange) await writeFile(join(test.dir, name), 'strange')
    await test.reopen({ maxBytes: 0 })
    await test.reopen()
    for (const name of strange) expect(await readFile(join(test.dir, name), 'utf8')).toBe('strange')
    const told = test.log.lines.filter(({ message }) => message.includes('files of other programs'))
    expect(told).toHaveLength(2)
    expect(told[0]!.fields).toMatchObject({ count: 4 })
    expect(test.larder.stats.files).toBe(0)
  })

  test('is refused to a second larder, in this process or another, while the first lives', async () => {
    await using test = await TestLarder.open()
    await using other = await TestLarder.prepare()
    await expect(other.reopen({ dir: test.dir })).rejects.toThrow('another Burrow process is using it')
    await test.larder.settle(test.packer.make('app', size))
    expect(test.larder.stats.files).toBe(1)
    await test.larder[Symbol.asyncDispose]()
    const second = await other.reopen({ dir: test.dir })
    expect(second.stats.files).toBe(1)
    expect((await readdir(test.dir)).filter((name) => name.startsWith('burrow-larder'))).toEqual(['burrow-larder.lock'])
  })

  test('goes to exactly one of many who open it at once', async () => {
    await using test = await TestLarder.open()
    await test.larder[Symbol.asyncDispose]()
    const others = await Promise.all(Array.from({ length: 8 }, () => TestLarder.prepare()))
    const results = await Promise.allSettled(others.map((other) => other.reopen({ dir: test.dir })))
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const other of others) await other[Symbol.asyncDispose]()
  })

  test('may have a long path', async () => {
    const parent = await mkdtemp(join(tmpdir(), 'burrow-larder-'))
    const dir = join(parent, 'long-'.repeat(40), 'larder')
    await using test = await TestLarder.prepare()
    await using other = await TestLarder.prepare()
    await test.reopen({ dir })
    await expect(other.reopen({ dir })).rejects.toThrow('another Burrow process is using it')
    await test.larder[Symbol.asyncDispose]()
    await other.reopen({ dir })
    await other.larder[Symbol.asyncDispose]()
    await rm(parent, { recursive: true })
  })

  test('that disappears is made again when it may be tried again, lock included', async () => {
    await using test = await TestLarder.open()
    const nar = test.packer.make('app', size)
    await rm(test.dir, { recursive: true })
    const settled = test.larder.settle(nar)
    expect((await readAll((await test.larder.open(nar)).chunks)).equals(nar.compressed)).toBe(true)
    await settled
    expect(test.larder.stats.unwritable).toBeDefined()
    test.now += 60_000
    await readAll((await test.larder.open(nar)).chunks)
    await using other = await TestLarder.prepare()
    await expect(other.reopen({ dir: test.dir })).rejects.toThrow('another Burrow process is using it')
    // Closing waits for what is being published.
    await test.larder[Symbol.asyncDispose]()
    expect(test.larder.stats.unwritable).toBeUndefined()
    expect(await test.keptNames()).toHaveLength(1)
  })

  test('that disappeared is tried again after a minute, also when the wall clock was set back meanwhile', async () => {
    await using test = await TestLarder.open()
    test.steadyMs = 5_000
    const nar = test.packer.make('app', size)
    await rm(test.dir, { recursive: true })
    await test.larder.settle(nar)
    expect(test.larder.stats.unwritable).toBeDefined()
    test.now -= 3_600_000
    test.steadyMs += 60_000
    await readAll((await test.larder.open(nar)).chunks)
    await test.larder[Symbol.asyncDispose]()
    expect(test.larder.stats.unwritable).toBeUndefined()
  })

  test('that cannot be made is no error: NARs are compressed for each client alone', async () => {
    await using test = await TestLarder.prepare()
    await writeFile(test.dir, 'a file')
    await test.reopen()
    const nar = test.packer.make('app', size)
    expect(test.larder.stats.unwritable).toContain('EEXIST')
    expect((await readAll((await test.larder.open(nar)).chunks)).equals(nar.compressed)).toBe(true)
    expect(test.packer.fills).toHaveLength(0)
    expect(test.log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1)
  })

  test('never leads out of itself by a symlink', async () => {
    await using test = await TestLarder.open()
    const nar = test.packer.make('app', 5000)
    const secret = join(test.dir, '..', 'secret')
    await writeFile(secret, nar.compressed)
    await symlink(secret, join(test.dir, `${nar.narHash.slice(7)}.zstd-3-1.5.7.${nar.fileHash.slice(7)}.5000`))
    await test.reopen()
    await readAll((await test.larder.open(nar)).chunks)
    expect(test.packer.fills).toHaveLength(1)
    expect(await readFile(secret)).toHaveLength(5000)
  })

  test('of ten thousand files is indexed when `openLarder` resolves', async () => {
    await using test = await TestLarder.prepare()
    await mkdir(test.dir)
    const nars = Array.from({ length: 10_000 }, (_, at) => makeNar(String(at), 1))
    for (const { narHash, fileHash } of nars)
      await writeFile(join(test.dir, `${narHash.slice(7)}.zstd-3-1.5.7.${fileHash.slice(7)}.1`), 'x')
    await test.reopen()
    expect(test.larder.stats.files).toBe(10_000)
    for (const { narHash, fileHash } of nars) expect(test.larder.find(narHash)).toEqual({ fileHash, fileSize: 1 })
  })
})

describe('kill -9 in the middle of a compression', () => {
  test('leaves whole files and temporaries that the next start sweeps, and the lock is free', async () => {
    await using test = await TestLarder.prepare()
    const script = fileURLToPath(new URL('killed-larder.ts', `file://${import.meta.filename}`))
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, test.dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exited = once(child, 'exit')
    await once(child.stdout, 'data')
    const before = await readdir(test.dir)
    expect(before.filter((name) => name.startsWith('tmp-'))).toHaveLength(1)
    await using rival = await TestLarder.prepare()
    await expect(rival.reopen({ dir: test.dir })).rejects.toThrow('another Burrow process is using it')
    child.kill('SIGKILL')
    await exited
    await test.reopen()
    expect(await test.tempNames()).toEqual([])
    const [whole, half] = [test.packer.make('whole', size), test.packer.make('half', 10 * size)]
    expect(test.larder.find(whole.narHash)).toEqual({ fileHash: whole.fileHash, fileSize: size })
    expect(test.larder.find(half.narHash)).toBeUndefined()
    for (const nar of [whole, half])
      expect((await readAll((await test.larder.open(nar)).chunks)).equals(nar.compressed)).toBe(true)
    expect(test.packer.fills.map(({ nar }) => nar.realPath)).toEqual([half.realPath])
  })
})

describe('closing a larder', () => {
  const openFiles = async (dir: string) => {
    const fds = await readdir('/proc/self/fd')
    const targets = await Promise.all(fds.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
    return targets.filter((target) => target.startsWith(dir))
  }

  test('in the middle of everything abandons compressions, breaks readers, and leaves no file open and no temporary behind', async () => {
    await using test = await TestLarder.open()
    const kept = test.packer.make('kept', 5_000_000)
    await test.larder.settle(kept)
    await test.reopen()
    test.packer.isByHand = true
    const started = test.packer.nextFill()
    const growing = (await test.larder.open(test.packer.make('growing', 5_000_000))).chunks
    const fill = await started
    fill.writeTo(1_000_000)
    await readChunk(growing)
    const reading = (await test.larder.open(kept)).chunks
    await readChunk(reading)
    const waiting = [growing.next(), reading.next(), test.larder.settle(fill.nar)].map((promise) =>
      promise.then(
        () => 'ended',
        ({ code }) => code,
      ),
    )
    await test.larder[Symbol.asyncDispose]()
    for (const outcome of await Promise.all(waiting)) expect(['abandoned', 'ended']).toContain(outcome)
    await expect(growing.next()).rejects.toMatchObject({ code: 'abandoned' })
    await expect(test.larder.open(kept)).rejects.toMatchObject({ code: 'abandoned' })
    expect(await openFiles(test.dir)).toEqual([])
    expect(await readdir(test.dir)).toEqual(expect.arrayContaining(['CACHEDIR.TAG']))
    expect(await test.tempNames()).toEqual([])
    // The lock's file stays, and is free.
    await test.reopen()
  })

  test('is not needed to get descriptors back: a file is closed some time after its readers left', async () => {
    await using test = await TestLarder.open({ memoryBytes: 0 })
    for (let at = 0; at < 150; at++) {
      const nar = test.packer.make(`app-${at}`, 70_000)
      const { chunks } = await test.larder.open(nar)
      if (at % 3 === 0) chunks.close()
      else await readAll(chunks)
      await test.larder.settle(nar)
      await readAll((await test.larder.open(nar)).chunks)
    }
    expect((await openFiles(test.dir)).length).toBeLessThanOrEqual(70)
  })
})
