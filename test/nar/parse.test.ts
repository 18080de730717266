import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { NarReader } from '../../src/nar/nar-reader.ts'
import { NarSyntaxError } from '../../src/nar/nar-sink.ts'
import { NarParser } from '../../src/nar/parse.ts'
import { encodeTokens } from '../../src/nar/tokens.ts'
import { examples } from './examples.ts'
import { findLayout } from './find-layout.ts'
import { anyTree, directory, dumpWithNix, file, link, parseTree, TempDir, type Tree } from './trees.ts'

function pack(path: string): Buffer {
  const layout = findLayout(path)
  const nar = Buffer.alloc(layout.narSize)
  new NarReader(layout).read(nar)
  return nar
}

const magic = encodeTokens('nix-archive-1')
const nar = (...tokens: readonly (string | Buffer)[]) =>
  Buffer.concat([magic, ...tokens.map((token) => (typeof token === 'string' ? encodeTokens(token) : token))])
const regular = ['(', 'type', 'regular', 'contents', '', ')'] as const
const entry = (name: string, node: readonly (string | Buffer)[] = regular) => [
  'entry',
  '(',
  'name',
  longToken(name),
  'node',
  ...node,
  ')',
]
const inDirectory = (...entries: readonly (readonly (string | Buffer)[])[]) =>
  nar('(', 'type', 'directory', ...entries.flat(), ')')
const nested = (levels: number): (string | Buffer)[] =>
  levels === 1 ? [...regular] : ['(', 'type', 'directory', ...entry('d', nested(levels - 1)), ')']

function longToken(text: string): Buffer {
  const token = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8)
  token.writeUInt32LE(text.length)
  token.write(text, 8, 'latin1')
  return token
}

function changed(original: Buffer, at: number, byte: number): Buffer {
  const copy = Buffer.from(original)
  copy[at] = byte
  return copy
}

describe('NarParser', () => {
  test.each(examples)('reads the worked example of $name', ({ nar, tree }) => {
    expect(parseTree(nar)).toEqual(tree)
    expect(parseTree(nar, 1)).toEqual(tree)
  })

  test('reads any packed tree back, in pieces of any size', () => {
    using dir = new TempDir()
    let count = 0
    fc.assert(
      fc.property(anyTree, fc.integer({ min: 1, max: 300 }), (tree, pieceBytes) => {
        expect(parseTree(pack(dir.write(`t${count++}`, tree)), pieceBytes)).toEqual(tree)
      }),
      { numRuns: 100 },
    )
  })

  test('reads the same tree that nix-store --restore restores', async () => {
    using dir = new TempDir()
    const tree = directory({ bin: directory({ run: file('#!', true) }), l: link('bin/run'), z: file('zz') })
    const original = await dumpWithNix(dir.write('a', tree))
    expect(spawnSync('nix-store', ['--restore', join(dir.path, 'b')], { input: original }).status).toBe(0)
    expect(pack(join(dir.path, 'b')).equals(original)).toBe(true)
    expect(parseTree(original)).toEqual(tree)
  })

  test('consumes no byte after the end', () => {
    const whole = examples[0]!.nar
    const parser = new NarParser({
      directory() {},
      leaveDirectory() {},
      regular() {},
      content() {},
      leaveRegular() {},
      symlink() {},
    })
    expect(parser.push(Buffer.concat([whole, Buffer.from('behind')]))).toBe(whole.length)
    expect(parser.isComplete).toBe(true)
  })

  test('accepts 64 nested nodes, names of 255 bytes and targets of 4095', () => {
    parseTree(nar(...nested(64)))
    parseTree(inDirectory(entry('n'.repeat(255))))
    parseTree(nar('(', 'type', 'symlink', 'target', longToken('t'.repeat(4095)), ')'))
  })

  const padding = examples[0]!.nar
  const illegal: Readonly<Record<string, Buffer>> = {
    'another magic': nar('(').fill('x', 8, 12),
    'padding of a word that is not zero': changed(padding, 22, 1),
    'padding of content that is not zero': changed(padding, 130, 1),
    'an empty name': inDirectory(entry('')),
    'the name .': inDirectory(entry('.')),
    'the name ..': inDirectory(entry('..')),
    'a name with a slash': inDirectory(entry('a/b')),
    'a name with NUL': inDirectory(entry('a\0b')),
    'a name of 256 bytes': inDirectory(entry('n'.repeat(256))),
    'a duplicate name': inDirectory(entry('a'), entry('a')),
    'unsorted names': inDirectory(entry('b'), entry('a')),
    'an empty target': nar('(', 'type', 'symlink', 'target', '', ')'),
    'a target with NUL': nar('(', 'type', 'symlink', 'target', 'a\0b', ')'),
    'a target of 4096 bytes': nar('(', 'type', 'symlink', 'target', longToken('t'.repeat(4096)), ')'),
    '65 nested nodes': nar(...nested(65)),
    'executable after contents': nar('(', 'type', 'regular', 'contents', '', 'executable', '', ')'),
    'regular without contents': nar('(', 'type', 'regular', ')'),
    'executable without contents': nar('(', 'type', 'regular', 'executable', '', ')'),
    'an executable flag with a value': nar('(', 'type', 'regular', 'executable', 'x', 'contents', '', ')'),
    'an unknown type': nar('(', 'type', 'fifo', ')'),
    'a size over 2^53': nar('(', 'type', 'regular', 'contents', Buffer.from('ffffffffffffff7f', 'hex')),
    'an endless word': nar(Buffer.from('ffffffff00000000', 'hex')),
  }

  test.each(Object.keys(illegal))('rejects %s', (name) => {
    expect(() => parseTree(illegal[name]!)).toThrow(expect.objectContaining({ name: 'NarSyntaxError' }))
    expect(() => parseTree(illegal[name]!, 1)).toThrow(expect.objectContaining({ name: 'NarSyntaxError' }))
  })

  test('rejects every truncation', () => {
    for (const { nar } of examples)
      for (let length = 0; length < nar.length; length++)
        expect(() => parseTree(nar.subarray(0, length))).toThrow(NarSyntaxError)
  })

  test('throws nothing but NarSyntaxError, and accepts only what packs to the same bytes', () => {
    using dir = new TempDir()
    const originals = [
      ...examples.map(({ nar }) => nar),
      nar(...nested(5)),
      inDirectory(entry('a'), entry('b', ['(', 'type', 'symlink', 'target', 'x', ')'])),
    ]
    const mutation = fc.record({
      at: fc.nat(),
      kind: fc.constantFrom('set', 'remove', 'insert', 'repeat'),
      byte: fc.constantFrom(0, 1, 7, 8, 0x28, 0x29, 0x2f, 0xff),
    })
    let count = 0
    fc.assert(
      fc.property(
        fc.constantFrom(...originals),
        fc.array(mutation, { minLength: 1, maxLength: 3 }),
        (original, mutations) => {
          const mutant = mutations.reduce(mutate, original)
          let tree: Tree
          try {
            tree = parseTree(mutant)
          } catch (error) {
            expect(error).toBeInstanceOf(NarSyntaxError)
            return
          }
          const repacked = pack(dir.write(`m${count++}`, tree))
          expect(mutant.subarray(0, repacked.length).equals(repacked)).toBe(true)
        },
      ),
      { numRuns: 1000 },
    )
  })
})

function mutate(bytes: Buffer, { at, kind, byte }: { at: number; kind: string; byte: number }): Buffer {
  const position = at % bytes.length
  const [before, after] = [bytes.subarray(0, position), bytes.subarray(position)]
  if (kind === 'set') return Buffer.concat([before, Buffer.from([byte]), after.subarray(1)])
  if (kind === 'remove') return Buffer.concat([before, after.subarray(byte === 8 ? 8 : 1)])
  return Buffer.concat([before, kind === 'insert' ? Buffer.from([byte]) : after.subarray(0, 16), after])
}
