import { expect, test } from '@jest/globals'
import fc from 'fast-check'

import { createLineReader } from '../../../appliance/tunnel/watch/line-reader.ts'

function read(chunks: readonly Buffer[], maxBytes: number): string[] {
  const lines: string[] = []
  const reader = createLineReader((line) => lines.push(line.toString('latin1')), maxBytes)
  for (const chunk of chunks) reader.push(chunk)
  reader.end()
  return lines
}

test('createLineReader gives the same lines however the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('a', 'b', '\n')),
      fc.array(fc.nat(20)),
      fc.integer({ min: 1, max: 8 }),
      (letters, cuts, maxBytes) => {
        const bytes = Buffer.from(letters.join(''))
        const chunks: Buffer[] = []
        let at = 0
        for (const cut of cuts) {
          chunks.push(bytes.subarray(at, at + cut))
          at = Math.min(bytes.length, at + cut)
        }
        chunks.push(bytes.subarray(at))
        const wanted = letters
          .join('')
          .split('\n')
          .map((line) => line.slice(0, maxBytes))
        expect(read(chunks, maxBytes).filter((line) => line !== '')).toEqual(wanted.filter((line) => line !== ''))
      },
    ),
  )
})

test('createLineReader cuts a line that never ends, once', () => {
  expect(read(Array(1000).fill(Buffer.alloc(1000, 'x')), 10)).toEqual(['xxxxxxxxxx'])
})

test('createLineReader takes the line after a huge one whole', () => {
  expect(read([Buffer.from('xxxxx'), Buffer.from('xxxxx\nab'), Buffer.from('c\n')], 4)).toEqual(['xxxx', 'abc'])
})
