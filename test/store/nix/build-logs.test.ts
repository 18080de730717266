/** Build logs in every form Nix leaves them, and in forms it never does. */

import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { findDecompressors } from '../../../appliance/server/decompressors.ts'
import { silentLog } from '../../../src/log.ts'
import { BuildLogs } from '../../../src/store/nix/build-logs.ts'
import { openNixFixture } from '../../fixtures/nix.ts'

const hashPart = 'lp3xijfwqmfvbx6v4iblcdypfyn79jlk'
const drv = `${hashPart}-app-1.0.drv`
const text = 'building app\nto-stderr\n'

let dir: string
let logs: BuildLogs

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'logs-'))
  logs = new BuildLogs(join(dir, 'log'), findDecompressors(process.env.PATH), silentLog)
})
afterEach(() => rmSync(dir, { recursive: true }))

const nested = (suffix = '', name = drv) => join(dir, 'log/drvs', name.slice(0, 2), name.slice(2) + suffix)
const flat = (suffix = '', name = drv) => join(dir, 'log/drvs', name + suffix)
const bzip2 = (content: string | Buffer) => execFileSync('bzip2', ['-c'], { input: content, maxBuffer: 1 << 30 })

function write(file: string, content: string | Uint8Array): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
}

async function read(stream: Readable | undefined): Promise<string | undefined> {
  return stream && Buffer.concat(await stream.toArray()).toString()
}

/** Descriptors of files in the test's directory. */
function openFiles(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(dir)
    } catch {
      return false
    }
  }).length
}

test('openLog decodes the log of a real build', async () => {
  await using nix = await openNixFixture()
  const store = await nix.openStore()
  const { appDrv } = await store.buildClosure()
  const log = await new BuildLogs(store.logDir, findDecompressors(process.env.PATH), silentLog).openLog(
    appDrv.slice('/nix/store/'.length),
  )
  expect(await read(log)).toBe(text)
})

describe('openLog', () => {
  test.each(['', '.bz2', '.zst'])('openLog reads "xx/rest%s" and the old flat form', async (suffix) => {
    const content = suffix === '.bz2' ? bzip2(text) : suffix === '.zst' ? zstdCompressSync(text) : text
    write(flat(suffix), content)
    expect(await read(await logs.openLog(drv))).toBe(text)
    write(nested(suffix), suffix === '' ? 'nested' : content)
    expect(await read(await logs.openLog(drv))).toBe(suffix === '' ? 'nested' : text)
    expect(openFiles()).toBe(0)
  })

  test('openLog prefers the plain log, as Nix does', async () => {
    write(nested('.bz2'), bzip2('old'))
    write(nested(), 'new')
    expect(await read(await logs.openLog(drv))).toBe('new')
  })

  test('openLog finds a log by the hash part when the name is cut at a question mark, or is another', async () => {
    const odd = `${hashPart}-app?v=1.drv`
    write(nested('.bz2', odd), bzip2(text))
    for (const name of [odd, `${hashPart}-app`, hashPart, `${hashPart}-`, drv])
      expect(await read(await logs.openLog(name))).toBe(text)
    rmSync(nested('.bz2', odd))
    write(flat('', odd), text)
    expect(await read(await logs.openLog(`${hashPart}-app`))).toBe(text)
  })

  test('openLog finds nothing for absent logs, a missing log directory and names that are none', async () => {
    expect(await logs.openLog(drv)).toBeUndefined()
    write(nested(), text)
    write(join(dir, 'log/drvs/secret'), 'secret')
    write(join(dir, 'secret'), 'secret')
    for (const name of [
      '',
      '..',
      '../../secret',
      'secret',
      `${'e'.repeat(32)}-x.drv`,
      `${hashPart.slice(0, 31)}`,
      `zz${drv.slice(2)}`,
      `zz${drv.slice(2)}/../../secret`,
    ])
      expect(await logs.openLog(name)).toBeUndefined()
  })

  test('openLog never throws for any name', async () => {
    write(nested(), text)
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.string().map((end) => `zz${drv.slice(2, 33)}${end}`),
        ),
        async (name) => {
          expect(await logs.openLog(name)).toBeUndefined()
        },
      ),
      { numRuns: 100 },
    )
  })

  test('openLog follows no link out of the log directory, and opens only regular files', async () => {
    write(join(dir, 'outside'), 'secret')
    mkdirSync(dirname(nested()), { recursive: true })
    symlinkSync(join(dir, 'outside'), nested())
    expect(await logs.openLog(drv)).toBeUndefined()
    rmSync(nested())
    rmSync(dirname(nested()), { recursive: true })
    write(join(dir, 'elsewhere', drv.slice(2)), 'secret')
    symlinkSync(join(dir, 'elsewhere'), dirname(nested()))
    expect(await logs.openLog(drv)).toBeUndefined()
    rmSync(dirname(nested()))
    mkdirSync(nested(), { recursive: true })
    expect(await logs.openLog(drv)).toBeUndefined()
    rmSync(nested(), { recursive: true })
    execFileSync('mkfifo', [nested()])
    expect(await logs.openLog(drv)).toBeUndefined()
    expect(openFiles()).toBe(0)
  })

  test('openLog follows a link that stays in the log directory', async () => {
    write(join(dir, 'log/moved'), text)
    mkdirSync(dirname(nested()), { recursive: true })
    symlinkSync('../../moved', nested())
    expect(await read(await logs.openLog(drv))).toBe(text)
  })
})

describe('decoding', () => {
  const long = Buffer.from(Array.from({ length: 300_000 }, (_, index) => `line ${index * 7919} of a log\n`).join(''))

  test('a log of several blocks, and of several streams in a row, comes out whole', async () => {
    write(nested('.bz2'), Buffer.concat([bzip2(long), bzip2(text), bzip2('')]))
    const got = Buffer.concat(await (await logs.openLog(drv))!.toArray())
    expect(got.equals(Buffer.concat([long, Buffer.from(text)]))).toBe(true)
  })

  test('without bzip2 such a log is absent, and one warning says why', async () => {
    const warnings: string[] = []
    const log = { ...silentLog, warn: (_fields: object, message: string) => void warnings.push(message) }
    const without = new BuildLogs(join(dir, 'log'), {}, log)
    write(nested('.bz2'), bzip2(text))
    expect([await without.openLog(drv), await without.openLog(drv)]).toEqual([undefined, undefined])
    expect(warnings).toEqual([expect.stringMatching(/bzip2, which is not installed/)])
  })

  test('an empty log is empty', async () => {
    write(nested('.bz2'), bzip2(''))
    expect(await read(await logs.openLog(drv))).toBe('')
  })

  test.each([
    ['truncated bzip2', '.bz2', (whole: Buffer) => whole.subarray(0, whole.length - 10)],
    ['empty bzip2', '.bz2', () => Buffer.alloc(0)],
    ['cut-short bzip2', '.bz2', (whole: Buffer) => whole.subarray(0, 3)],
    ['damaged bzip2', '.bz2', (whole: Buffer) => flip(whole, whole.length >> 1)],
    ['truncated zstd', '.zst', (whole: Buffer) => whole.subarray(0, whole.length - 10)],
    ['damaged zstd', '.zst', (whole: Buffer) => flip(whole, 0)],
  ])('a %s log is an error of the stream', async (_, suffix, spoil) => {
    write(nested(suffix), spoil(suffix === '.bz2' ? bzip2(long) : zstdCompressSync(long)))
    const log = (await logs.openLog(drv))!
    await expect(log.toArray()).rejects.toThrow()
    expect(log.destroyed).toBe(true)
  })

  test('any damage to a bzip2 log is an error of the stream or changes nothing', async () => {
    const whole = bzip2(text)
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, bits) => {
        const spoilt = Buffer.from(whole)
        spoilt[at]! ^= bits
        write(nested('.bz2'), spoilt)
        const got = await read(await logs.openLog(drv)).catch((error: Error) => error)
        if (!(got instanceof Error)) expect(got).toBe(text)
      }),
      { numRuns: 20 },
    )
  })

  test('a log that expands a thousandfold is decoded only as far as it is read', async () => {
    const bomb = bzip2(Buffer.alloc(64 << 20))
    expect(bomb.length).toBeLessThan(1000)
    write(nested('.bz2'), bomb)
    const before = process.memoryUsage().rss
    const log = (await logs.openLog(drv))!
    let bytes = 0
    for await (const chunk of log as AsyncIterable<Buffer>) {
      expect(chunk.length).toBeLessThanOrEqual(64 << 10)
      bytes += chunk.length
      if (bytes > 8 << 20) break
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(100 << 20)
    expect(log.destroyed).toBe(true)
  })

  test('a log that is given up, before or while it is read, leaves no file open', async () => {
    write(nested('.bz2'), bzip2(long))
    write(nested('.zst', `zz${drv.slice(2)}`), zstdCompressSync(long))
    for (const suffix of ['.bz2', '.zst']) {
      if (suffix === '.zst') copyFileSync(nested('.zst', `zz${drv.slice(2)}`), nested('.zst'))
      for (const isRead of [false, true]) {
        const log = (await logs.openLog(drv))!
        const closed = new Promise((resolve) => log.once('close', resolve))
        if (isRead) await new Promise((resolve) => log.once('readable', resolve))
        log.destroy()
        await closed
      }
      rmSync(nested(suffix))
    }
    // A file stream under a decoder closes a turn or two later.
    const deadline = Date.now() + 20_000
    while (openFiles() > 0 && Date.now() < deadline) await new Promise(setImmediate)
    expect(openFiles()).toBe(0)
  })

  test('no more than eight bzip2 logs are decoded at once; the next is told to come again', async () => {
    write(nested('.bz2'), bzip2(long))
    const open = await Promise.all(Array.from({ length: 8 }, () => logs.openLog(drv)))
    await expect(logs.openLog(drv)).rejects.toMatchObject({ code: 'busy' })
    const closed = new Promise((resolve) => open[0]!.once('close', resolve))
    for (const log of open) log!.destroy()
    await closed
    const next = (await logs.openLog(drv))!
    next.destroy()
    await Promise.all(
      [next, ...open].map((log) => log!.closed || new Promise((resolve) => log!.once('close', resolve))),
    )
  })

  function flip(whole: Buffer, at: number): Buffer {
    const spoilt = Buffer.from(whole)
    spoilt[at]! ^= 0x40
    return spoilt
  }
})
