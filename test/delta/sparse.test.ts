/** A file of 4 GiB: sizes and offsets above 2^32, in bounded memory. */
import { closeSync, ftruncateSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { decodeDelta } from '../../src/delta/decode.ts'
import { TreeFiles } from '../../src/delta/tree-files.ts'
import { verifiedReader } from '../../src/nar/verify.ts'
import { TempDir } from '../nar/trees.ts'
import { chunksOf, encode, headerOf, readTree } from './deltas.ts'

const gibibyte = 1024 ** 3
const size = 4 * gibibyte + 12_345

/** A hole with some bytes at these places. */
function writeSparse(path: string, places: Readonly<Record<number, string>>): void {
  mkdirSync(path)
  const fd = openSync(join(path, 'image'), 'w')
  ftruncateSync(fd, size)
  for (const [at, text] of Object.entries(places)) writeSync(fd, text.repeat(1000), Number(at))
  closeSync(fd)
}

test('a file of 4 GiB with a few changes becomes a small delta, in bounded memory', async () => {
  using dir = new TempDir()
  writeSparse(join(dir.path, 'a'), { 0: 'begin', 1000000000: 'old', [4 * gibibyte]: 'end' })
  writeSparse(join(dir.path, 'b'), { 0: 'begin', 1000000003: 'new', [4 * gibibyte + 5]: 'end' })
  const from = readTree(join(dir.path, 'a'))
  const to = readTree(join(dir.path, 'b'))
  const peak = watchMemory()
  const delta = await encode(from, to)
  expect(delta.length).toBeLessThan(10_000)
  const header = headerOf(from, to)
  const nar = verifiedReader(decodeDelta(chunksOf(delta), new TreeFiles(from.layout.realPath), header), header)
  let length = 0
  for (let chunk = await nar.next(); chunk !== undefined; chunk = await nar.next()) {
    length += chunk.bytes.length
    chunk.release()
  }
  nar.close()
  expect(length).toBe(to.layout.narSize)
  expect(peak()).toBeLessThan(300)
  // It reads 12 GiB: minutes on a busy machine.
}, 1_800_000)

/** Returns the peak of additional memory outside of V8's heap and in it, in MiB, sampled as buffers come and go. */
function watchMemory(): () => number {
  const before = process.memoryUsage.rss()
  let peak = before
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss())
  }, 20)
  return () => {
    clearInterval(timer)
    return (peak - before) / 1024 ** 2
  }
}
