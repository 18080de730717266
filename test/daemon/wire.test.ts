/** The decoder of the worker protocol's wire format: any cut, any garbage. */

import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { DaemonError, readFrames } from '../../src/daemon/daemon-protocol.ts'
import { encodeInteger, encodeString, WireError, WireReader } from '../../src/daemon/wire.ts'

const ended = new WireError('ended')

function cutAt(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...places].map((start, index) => bytes.subarray(start, places[index] ?? bytes.length))
}

describe('encodeString', () => {
  test('encodeString pads to eight bytes', () => {
    expect(encodeString('abc').toString('hex')).toBe('03000000000000006162630000000000')
    expect(encodeString('').toString('hex')).toBe('0000000000000000')
    expect(encodeString('12345678').length).toBe(16)
  })
})

describe('WireReader', () => {
  test('WireReader returns the same values however the bytes are cut', async () => {
    const values = fc.array(fc.oneof(fc.maxSafeNat(), fc.string({ unit: 'grapheme', maxLength: 40 })), {
      maxLength: 20,
    })
    await fc.assert(
      fc.asyncProperty(values, fc.array(fc.nat(), { maxLength: 30 }), async (expected, cuts) => {
        const reader = new WireReader()
        const bytes = Buffer.concat(
          expected.map((value) => (typeof value === 'number' ? encodeInteger(value) : encodeString(value))),
        )
        const chunks = cutAt(bytes, cuts)
        const read = (async () => {
          const got: (number | string)[] = []
          for (const value of expected)
            got.push(typeof value === 'number' ? await reader.readInteger() : await reader.readString(1000))
          return got
        })()
        for (const chunk of chunks) {
          reader.feed(chunk)
          await null
        }
        expect(await read).toEqual(expected)
        expect(reader.buffered).toBe(0)
      }),
      { numRuns: 200 },
    )
  })

  test('WireReader takes a long string byte by byte', async () => {
    const reader = new WireReader()
    const text = 'x'.repeat(300_000)
    const read = reader.readString(1 << 20)
    for (const byte of encodeString(text)) reader.feed(Uint8Array.of(byte))
    expect(await read).toBe(text)
  })

  test('readString refuses a length beyond its limit before anything of it has come', async () => {
    const reader = new WireReader()
    reader.feed(encodeInteger(1001))
    await expect(reader.readString(1000)).rejects.toThrow(WireError)
  })

  test('readInteger refuses what no number can hold', async () => {
    const reader = new WireReader()
    reader.feed(Buffer.alloc(8, 0xff))
    await expect(reader.readInteger()).rejects.toThrow(WireError)
  })

  test('readString refuses padding that is not zero', async () => {
    const reader = new WireReader()
    reader.feed(Buffer.concat([encodeInteger(1), Buffer.from('ab000000')]))
    await expect(reader.readString(10)).rejects.toThrow('padded')
  })

  test('fail rejects the read that waits, and later ones once the buffer is empty', async () => {
    const reader = new WireReader()
    const waiting = reader.readInteger()
    reader.fail(ended)
    await expect(waiting).rejects.toBe(ended)
    await expect(reader.readInteger()).rejects.toBe(ended)
  })

  test('WireReader does not keep more than its limit of what nobody reads', async () => {
    const reader = new WireReader()
    for (let count = 0; count < 100; count++) reader.feed(new Uint8Array(1 << 20))
    expect(reader.buffered).toBeLessThan(4 << 20)
    const read = (async () => {
      for (;;) await reader.readBigInteger()
    })()
    await expect(read).rejects.toThrow('more than it was asked for')
  })
})

describe('readFrames', () => {
  const last = encodeInteger(0x616c7473)
  const fields = Buffer.concat([
    encodeInteger(2),
    encodeInteger(0),
    encodeInteger(7),
    encodeInteger(1),
    encodeString('field'),
  ])

  test('readFrames passes over log lines, activities and results', async () => {
    const reader = new WireReader()
    const identity = Buffer.alloc(8, 0xee)
    reader.feed(
      Buffer.concat([
        ...[encodeInteger(0x6f6c6d67), encodeString('a line')],
        ...[
          encodeInteger(0x53545254),
          identity,
          encodeInteger(3),
          encodeInteger(105),
          encodeString('text'),
          fields,
          identity,
        ],
        ...[encodeInteger(0x52534c54), identity, encodeInteger(101), fields],
        ...[encodeInteger(0x53544f50), identity],
        ...[encodeInteger(0x64617416), encodeString('data')],
        last,
      ]),
    )
    await readFrames(reader, 34)
    expect(reader.buffered).toBe(0)
  })

  test('readFrames throws the message of an error in the form since 1.26, without terminal codes', async () => {
    const reader = new WireReader()
    const trace = [encodeInteger(0), encodeString('while')]
    const message = encodeString('\u001b[31;1merror:\u001b[0m no such path')
    const error = [
      encodeInteger(0x63787470),
      encodeString('Error'),
      encodeInteger(0),
      encodeString('Error'),
      message,
      encodeInteger(0),
      encodeInteger(1),
      ...trace,
    ]
    reader.feed(Buffer.concat(error))
    await expect(readFrames(reader, 26)).rejects.toThrow(new DaemonError('error: no such path'))
    expect(reader.buffered).toBe(0)
  })

  test('readFrames throws the message of an error in the form before 1.26', async () => {
    const reader = new WireReader()
    reader.feed(Buffer.concat([encodeInteger(0x63787470), encodeString('no such path'), encodeInteger(1)]))
    await expect(readFrames(reader, 25)).rejects.toThrow(new DaemonError('no such path'))
    expect(reader.buffered).toBe(0)
  })

  test('readFrames refuses an unknown frame and a list without end', async () => {
    const unknown = new WireReader()
    unknown.feed(encodeInteger(42))
    await expect(readFrames(unknown, 34)).rejects.toThrow(WireError)
    const endless = new WireReader()
    endless.feed(Buffer.concat([encodeInteger(0x52534c54), encodeInteger(1), encodeInteger(1), encodeInteger(2 ** 40)]))
    await expect(readFrames(endless, 34)).rejects.toThrow(WireError)
  })

  test('readFrames ends on any bytes whatever: with a frame, a refusal or the end of the input', async () => {
    const tag = fc.constantFrom(
      0x616c7473,
      0x63787470,
      0x6f6c6d67,
      0x53545254,
      0x53544f50,
      0x52534c54,
      0x64617416,
      0x64617461,
    )
    const piece = fc.oneof(
      tag.map(encodeInteger),
      fc.nat(20).map(encodeInteger),
      fc.string({ maxLength: 20 }).map(encodeString),
      fc.uint8Array({ maxLength: 24 }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 30 }),
        fc.array(fc.nat(), { maxLength: 10 }),
        fc.constantFrom(25, 34),
        async (pieces, cuts, minor) => {
          const reader = new WireReader()
          const read = readFrames(reader, minor).catch((error: unknown) => error)
          for (const chunk of cutAt(Buffer.concat(pieces), cuts)) {
            reader.feed(chunk)
            await null
          }
          reader.fail(ended)
          const outcome = await read
          expect(outcome === undefined || outcome instanceof WireError || outcome instanceof DaemonError).toBe(true)
        },
      ),
      { numRuns: 500 },
    )
  })
})
