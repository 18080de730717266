import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { decodeHeader, encodeHeader, headerBytes } from '../../src/delta/format.ts'
import { InstructionReader, InstructionWriter } from '../../src/delta/instructions.ts'
import { findPartners } from '../../src/delta/partners.ts'
import { isWorthTrying, nameWithoutVersion } from '../../src/delta/worth.ts'
import { Fault } from '../../src/faults.ts'
import { verifiedReader } from '../../src/nar/verify.ts'
import { findLayout } from '../nar/find-layout.ts'
import { directory, file, link, TempDir, type Tree } from '../nar/trees.ts'
import { chunksOf, readAll, sha256 } from './deltas.ts'

describe('findPartners', () => {
  const bytes = (length: number): Tree => file(Buffer.alloc(length, 'b'))

  /** Path to path, for files that have a partner. */
  function partnersOf(base: Tree, target: Tree): Record<string, string> {
    using dir = new TempDir()
    const from = findLayout(dir.write('a', base))
    const to = findLayout(dir.write('b', target))
    const below = (layout: typeof from, entry: number) =>
      layout
        .pathOf(entry)
        .subarray(layout.realPath.length + 1)
        .toString('latin1')
    return Object.fromEntries(
      [...findPartners(from, to)].flatMap((partner, entry) =>
        partner === -1 ? [] : [[below(to, entry), below(from, partner)]],
      ),
    )
  }

  test('takes the same path before all others', () => {
    const base = directory({ 'a-1': bytes(10), 'a-2': bytes(99), d: directory({ 'a-2': bytes(10) }) })
    expect(partnersOf(base, directory({ 'a-2': bytes(10) }))).toEqual({ 'a-2': 'a-2' })
  })

  test('takes the same path but for digits and store hashes, then the same name', () => {
    const base = directory({
      'iah2ssqwr7r48743cbcv36fnp35mfpms-x': directory({ f: bytes(5) }),
      'lib1.2': directory({ 'libz.so.1.2.3': bytes(6) }),
      far: directory({ away: bytes(7) }),
    })
    const target = directory({
      'r8vvq9kq18pz08v249h8my6r9vs7s0n3-x': directory({ f: bytes(5) }),
      lib2: directory({ 'libz.so.2': bytes(6) }),
      near: directory({ away: bytes(7), new: bytes(8) }),
    })
    expect(partnersOf(base, target)).toEqual({
      'r8vvq9kq18pz08v249h8my6r9vs7s0n3-x/f': 'iah2ssqwr7r48743cbcv36fnp35mfpms-x/f',
      'lib2/libz.so.2': 'lib1.2/libz.so.1.2.3',
      'near/away': 'far/away',
    })
  })

  test('takes of several the one nearest in size, then the first', () => {
    const base = directory({
      a: directory({ f: bytes(10) }),
      b: directory({ f: bytes(20) }),
      c: directory({ f: bytes(20) }),
      d: directory({ f: bytes(30) }),
    })
    const partnerOf = (length: number) => partnersOf(base, directory({ x: directory({ f: bytes(length) }) }))['x/f']
    expect([1, 10, 14, 15, 16, 20, 24, 25, 26, 99].map(partnerOf)).toEqual([
      'a/f',
      'a/f',
      'a/f',
      'a/f',
      'b/f',
      'b/f',
      'b/f',
      'b/f',
      'd/f',
      'd/f',
    ])
  })

  test('leaves out symlinks, directories and empty files, on both sides', () => {
    const base = directory({ a: link('x'), b: directory(), c: file(''), d: bytes(1), e: bytes(1), f: bytes(1) })
    const target = directory({ a: bytes(1), b: bytes(1), c: bytes(1), d: link('x'), e: directory(), f: file('') })
    expect(partnersOf(base, target)).toEqual({})
  })
})

describe('isWorthTrying', () => {
  test.each([
    ['openssl-3.0.14', 'openssl'],
    ['openssl-3.0.14-bin', 'openssl-bin'],
    ['python3.11-requests-2.31.0', 'python-requests'],
    ['glibc-2.39-52', 'glibc'],
    ['foo-unstable-2024-01-01', 'foo-unstable'],
    ['source', 'source'],
    ['7zip-23.01', 'zip'],
    ['hello-v1.2', 'hello'],
  ])('nameWithoutVersion("%s") is "%s"', (name, expected) => {
    expect(nameWithoutVersion(name)).toBe(expected)
  })

  test.each<[string, number, string, number, boolean]>([
    ['git-2.44', 1e6, 'git-2.45', 1.1e6, true],
    ['git-2.44', 1e6, 'git-2.44', 1e6, true],
    ['git-2.44', 4e6, 'git-2.45', 1e6, true],
    ['git-2.44', 4e6 + 1, 'git-2.45', 1e6, false],
    ['git-2.44', 1e6, 'git-2.45', 4e6 + 1, false],
    ['git-2.44', 1e6, 'git-2.45-doc', 1e6, false],
    ['git-2.44', 65536, 'git-2.45', 65536, false],
    ['git-2.44', 65536, 'git-2.45', 65537, true],
  ])('%s of %d bytes for %s of %d bytes: %s', (baseName, baseSize, name, narSize, expected) => {
    expect(isWorthTrying({ name: baseName, narSize: baseSize }, { name, narSize })).toBe(expected)
  })
})

describe('the format', () => {
  test('decodeHeader reads what encodeHeader writes', () => {
    const header = {
      baseNarHash: sha256(Buffer.from('a')),
      baseNarSize: 2 ** 40 + 1,
      narHash: sha256(Buffer.from('b')),
      narSize: Number.MAX_SAFE_INTEGER,
    }
    const bytes = encodeHeader(header)
    expect(bytes.length).toBe(headerBytes)
    expect(decodeHeader(bytes)).toEqual(header)
  })

  test('numbers and texts are read as they were written, up to their limits', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.maxSafeNat(), fc.uint8Array({ maxLength: 300 }))), (values) => {
        const writer = new InstructionWriter()
        for (const [size, name] of values) writer.regular(Buffer.from(name), size, false)
        const reader = new InstructionReader(writer.take())
        for (const [size, name] of values) {
          reader.number(10)
          expect(reader.text(300).equals(name)).toBe(true)
          expect(() => new InstructionReader(Buffer.from('ffff7f', 'hex')).number(size % 1000)).toThrow(Fault)
          expect(reader.number(size)).toBe(size)
        }
        expect(reader.isAtEnd).toBe(true)
      }),
    )
  })

  test.each(['', '80', 'ffffffffffffffffff01', '8080808080808080808000', '05abcd'])(
    'refuses the number or text %s',
    (hex) => {
      const bytes = Buffer.from(hex, 'hex')
      expect(() => new InstructionReader(bytes).text(Number.MAX_SAFE_INTEGER)).toThrow(Fault)
    },
  )
})

describe('verifiedReader', () => {
  const nar = Buffer.from('a NAR'.repeat(100))
  const expected = { narHash: sha256(nar), narSize: nar.length }

  test('passes on the right NAR, in any pieces', async () => {
    for (const pieceBytes of [1, 7, 500, 1000])
      expect((await readAll(verifiedReader(chunksOf(nar, pieceBytes), expected))).equals(nar)).toBe(true)
  })

  test.each<[string, Buffer]>([
    ['shorter', nar.subarray(0, -1)],
    ['longer', Buffer.concat([nar, Buffer.from('x')])],
    ['wrong at the beginning', Buffer.concat([Buffer.from('b'), nar.subarray(1)])],
    ['empty', Buffer.alloc(0)],
  ])('never gives all of one that is %s', async (what, wrong) => {
    const reader = verifiedReader(chunksOf(wrong, 100), expected)
    let given = 0
    const read = async () => {
      for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next())
        given += chunk.bytes.length
    }
    await expect(read()).rejects.toMatchObject({ code: 'nar-mismatch' })
    if (what !== 'longer') expect(given).toBeLessThan(nar.length)
  })
})
