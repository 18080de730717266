import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { describe, expect, test } from '@jest/globals'

import { findDecompressors, startFilter } from '../../appliance/server/decompressors.ts'
import { createScratchDir } from './scratch-dir.ts'

const bytes = randomBytes(3_000_000)
const pieces = () =>
  Readable.from(Array.from({ length: 30 }, (_, index) => bytes.subarray(index * 100_000, (index + 1) * 100_000)))

async function through(filter: ReturnType<typeof startFilter>): Promise<Buffer> {
  const [, result] = await Promise.all([pipeline(pieces(), filter), buffer(filter)])
  return result
}

describe('findDecompressors', () => {
  test.each(['xz', 'bzip2'] as const)('findDecompressors decompresses what %s compressed', async (program) => {
    const compressed = spawnSync(program, ['-c'], { input: bytes, maxBuffer: 1e8 }).stdout
    const decompressor = findDecompressors(process.env.PATH)[program]!()
    const [, result] = await Promise.all([pipeline(Readable.from([compressed]), decompressor), buffer(decompressor)])
    expect(result.equals(bytes)).toBe(true)
  })

  test('findDecompressors leaves out programs that are not there, and never looks in relative directories', async () => {
    await using dir = await createScratchDir()
    await mkdir(dir.file('bin/xz'), { recursive: true })
    await writeFile(dir.file('bin/bzip2'), '')
    expect([
      findDecompressors(undefined),
      findDecompressors(''),
      findDecompressors('.:bin'),
      findDecompressors(dir.file('bin')),
    ]).toEqual([{}, {}, {}, {}])
  })
})

describe('startFilter', () => {
  test('startFilter fails, and never ends, when the program fails', async () => {
    await expect(through(startFilter('/bin/sh', ['-c', 'head -c 1000; echo no luck >&2; exit 3']))).rejects.toThrow(
      /exit code 3.*no luck/,
    )
  })

  test('startFilter fails when the program is killed in the middle', async () => {
    await expect(through(startFilter('/bin/sh', ['-c', 'head -c 1000; kill -9 $$']))).rejects.toThrow(/SIGKILL/)
  })

  test('startFilter fails when the program ends before its input', async () => {
    const filter = startFilter('/bin/true', [])
    const failed = once(filter, 'error')
    filter.resume()
    expect(String((await failed)[0])).toMatch(/ended before its input/)
  })

  test('startFilter fails when the program cannot be run', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('x'), 'not a program')
    await chmod(dir.file('x'), 0o755)
    await expect(through(startFilter(dir.file('none'), []))).rejects.toThrow(/Cannot run/)
    await expect(through(startFilter(dir.file('x'), []))).rejects.toThrow()
  })

  test('startFilter kills the program when the stream is destroyed', async () => {
    const filter = startFilter('/bin/sh', ['-c', 'echo $$; exec sleep 1000'])
    const [pid] = await once(filter, 'data')
    filter.destroy()
    await once(filter, 'close')
    await expect(goneOf(Number(pid))).resolves.toBe(true)
  })

  test('startFilter gives the program nothing of our environment', async () => {
    process.env.SECRET_OF_OURS = 'hunter2'
    const filter = startFilter('/usr/bin/env', [])
    filter.end()
    delete process.env.SECRET_OF_OURS
    expect((await buffer(filter)).toString()).toBe('LC_ALL=C\n')
  })
})

/** Asks again in each turn of the event loop: a child is gone once it was reaped. */
async function goneOf(pid: number): Promise<boolean> {
  for (;;) {
    try {
      process.kill(pid, 0)
    } catch {
      return true
    }
    await new Promise(setImmediate)
  }
}
