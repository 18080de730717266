/** Deltas by chance: nothing comes out but the right NAR, or a fault. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { BlockWriter, endOfBlocks } from '../../src/delta/block-writer.ts'
import type { DeltaTree } from '../../src/delta/encode.ts'
import { encodeHeader } from '../../src/delta/format.ts'
import { compressFrame } from '../../src/delta/frames.ts'
import { Fault } from '../../src/faults.ts'
import { directory, file, link, TempDir } from '../nar/trees.ts'
import { decodeCrafted, header, MemoryFiles } from './craft.ts'
import { chunksOf, decode, encode, headerOf, readNar, readTree } from './deltas.ts'

const text = (seed: number): Buffer => Buffer.from(Array.from({ length: 300 }, (_, i) => `${i * seed} line\n`).join(''))

describe('a delta that was changed on its way', () => {
  let dir: TempDir
  let from: DeltaTree
  let to: DeltaTree
  let delta: Buffer
  let nar: Buffer

  beforeAll(async () => {
    dir = new TempDir()
    const share = directory({ moved: file(text(5)), same: file(text(6)), e: file('') })
    from = readTree(dir.write('a', directory({ bin: file(text(2), true), doc: link('x'), share, gone: file(text(9)) })))
    const lib = directory({ moved: file(text(5)), new: file(text(11)), newer: file(text(13)) })
    to = readTree(dir.write('b', directory({ bin: file(text(3), true), doc: link('y'), lib, share })))
    delta = await encode(from, to)
    nar = readNar(to)
  })

  afterAll(() => dir[Symbol.dispose]())

  const rightOrFault = async (changed: Buffer): Promise<'right' | 'fault'> => {
    try {
      expect((await decode(chunksOf(changed, 777), from, headerOf(from, to))).equals(nar)).toBe(true)
      return 'right'
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      expect(['delta-unusable', 'nar-mismatch']).toContain(error.code)
      return 'fault'
    }
  }

  test('is right when it was not changed', async () => {
    expect(await rightOrFault(delta)).toBe('right')
  })

  test('is refused wherever it ends', async () => {
    for (let length = 0; length < delta.length; length++)
      expect(await rightOrFault(delta.subarray(0, length))).toBe('fault')
  })

  test('is refused with any byte changed', async () => {
    for (let at = 0; at < delta.length; at++) {
      const changed = Buffer.from(delta)
      changed[at]! ^= 1 << (at % 8)
      await rightOrFault(changed)
    }
  })

  test('is refused with bytes replaced, inserted, removed and repeated', async () => {
    const edit = fc.record({
      at: fc.nat({ max: 5000 }),
      removed: fc.nat({ max: 40 }),
      inserted: fc.oneof(
        fc.uint8Array({ maxLength: 12 }),
        fc.constantFrom(new Uint8Array(8).fill(0xff), new Uint8Array(8)),
      ),
      repeated: fc.nat({ max: 60 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
        let changed = delta
        for (const { at, removed, inserted, repeated } of edits) {
          const place = at % (changed.length + 1)
          const copy = changed.subarray(place, place + repeated)
          changed = Buffer.concat([changed.subarray(0, place), inserted, copy, changed.subarray(place + removed)])
        }
        await rightOrFault(changed)
      }),
      { numRuns: 1500 },
    )
  })
})

describe('instructions by chance', () => {
  const content = text(7)
  const files = { f: content, 'd/f': text(8), '': content }
  const name = fc.constantFrom('', 'a', 'b', 'f', 'd', '.', '..', 'a/b').map((each) => Buffer.from(each))
  const size = fc.oneof(
    fc.nat({ max: 20 }),
    fc.constantFrom(content.length, content.length + 1, 2 ** 24, 2 ** 32, 2 ** 52),
  )
  const range = fc.record({
    path: fc.option(
      fc.constantFrom('f', 'd/f', '..', 'd').map((each) => Buffer.from(each)),
      { nil: undefined },
    ),
    size: fc.constantFrom(content.length, text(8).length, 2 ** 40),
    offset: size,
    length: size,
  })
  const instruction = fc.oneof(
    fc.tuple(fc.constant('directory' as const), name),
    fc.tuple(fc.constant('leave' as const)),
    fc.tuple(fc.constant('symlink' as const), name, name),
    fc.tuple(fc.constant('regular' as const), name, size, fc.boolean()),
    fc.tuple(fc.constant('same' as const)),
    fc.tuple(fc.constant('copy' as const), range),
    fc.tuple(fc.constant('compressed' as const), size, size, fc.option(range, { nil: undefined })),
    fc.tuple(fc.constant('fillPool' as const), size, size),
    fc.tuple(fc.constant('fromPool' as const)),
  )

  test('end in a fault, or in a NAR of the expected size', async () => {
    const frame = await compressFrame(content, 3)
    await fc.assert(
      fc.asyncProperty(
        fc.array(instruction, { minLength: 1, maxLength: 12 }),
        fc.nat({ max: 2 }),
        fc.constantFrom(112, 120, 96 + content.length + 24),
        async (instructions, frames, narSize) => {
          const block = new BlockWriter(3)
          for (const [call, ...values] of instructions)
            (block.instructions[call] as (...values: unknown[]) => void).apply(block.instructions, values)
          for (let i = 0; i < frames; i++) block.addFrame(frame)
          const delta = Buffer.concat([encodeHeader({ ...header, narSize }), ...(await block.take()), endOfBlocks])
          const base = new MemoryFiles(files)
          try {
            expect((await decodeCrafted(delta, base, narSize)).length).toBe(narSize)
          } catch (error) {
            expect(error).toMatchObject({ name: 'Fault', code: 'delta-unusable' })
          }
          expect(base.openCount).toBe(0)
          for (const path of base.opened) expect(['f', 'd/f', 'a', 'b', 'd', '']).toContain(path)
        },
      ),
      { numRuns: 3000 },
    )
  })
})
