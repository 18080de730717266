/**
 * The edge gives a reply up that has not begun after 120 s. So every reply begins before that, or asks the client to
 * come again, and keeps nothing for it.
 */
import { PassThrough, Readable } from 'node:stream'

import { describe, expect, test } from '@jest/globals'

import type { Larder } from '../../src/larder/larder.ts'
import type { Answer } from '../fixtures/cache.ts'
import {
  compressedUrl,
  foreignUrl,
  type HandFed,
  type HandFedOptions,
  hashPart,
  narUrl,
  openHandFed,
  recipe,
  turnOfTheLoop,
} from './hand-fed.ts'

const never = new Promise<never>(() => {})

function standInLarder(parts: Partial<Larder>): Larder {
  return {
    recipe,
    find: () => undefined,
    peek: () => undefined,
    findKept: () => undefined,
    settle: () => never,
    ...parts,
  } as Larder
}

/** Lets every timer go off until there is an answer. */
async function expire(origin: HandFed, asked: Promise<Answer>): Promise<Answer> {
  let answer: Answer | undefined
  void asked.then((got) => {
    answer = got
  })
  while (answer === undefined) {
    expect([...origin.timers].every(({ ms }) => ms <= 75_000)).toBe(true)
    origin.expire()
    await turnOfTheLoop()
  }
  return answer
}

function expectToComeAgain({ status, headers, isComplete }: Answer): void {
  expect(status).toBe(503)
  expect(Number(headers['retry-after'])).toBeGreaterThan(0)
  expect(isComplete).toBe(true)
}

const legacyUrl = `/nar/${hashPart}.nar`

describe('asks the client to come again when the time is over', () => {
  test.each<[string, string, HandFedOptions, Record<string, string>?]>([
    ['a NAR whose first chunk does not come', narUrl, {}],
    ['a NAR of another recipe whose first chunk does not come', foreignUrl, {}],
    ['a NAR of an old URL', legacyUrl, {}],
    ['a compressed NAR that the larder does not open', compressedUrl, { larder: standInLarder({ open: () => never }) }],
    [
      'a range of a NAR whose compression does not end',
      compressedUrl,
      { larder: standInLarder({}) },
      { range: 'bytes=5-' },
    ],
    ['a listing that does not come to its end', `/${hashPart}.ls`, { listJson: () => never }],
    ['a log that cannot be opened', `/log/${hashPart}-thing.drv`, { openLog: () => never }],
    ['a log that gives nothing', `/log/${hashPart}-thing.drv`, { openLog: async () => new PassThrough() }],
  ])('%s', async (_what, path, options, headers = {}) => {
    await using origin = await openHandFed(options)
    const asked = origin.get(path, { headers })
    expectToComeAgain(await expire(origin, asked))
    while (origin.origin.transfers.underWay > 0) await turnOfTheLoop()
  })

  test('at the time that is left after waiting for a place and a lease', async () => {
    await using origin = await openHandFed({ limits: { firstByteSeconds: 0 } })
    const asked = origin.get(narUrl)
    expectToComeAgain(await expire(origin, asked))
    expect((await origin.nextBody()).isClosed).toBe(true)
  })
})

describe('what comes too late is let go', () => {
  test('a log opened for nobody is closed', async () => {
    const opened = Promise.withResolvers<Readable>()
    await using origin = await openHandFed({ openLog: () => opened.promise })
    const asked = origin.get(`/log/${hashPart}-thing.drv`)
    expectToComeAgain(await expire(origin, asked))
    const text = new PassThrough()
    const closed = new Promise((resolve) => text.once('close', resolve))
    opened.resolve(text)
    await closed
  })

  test('a file of the larder opened for nobody is closed', async () => {
    const opened = Promise.withResolvers<Awaited<ReturnType<Larder['open']>>>()
    await using origin = await openHandFed({ larder: standInLarder({ open: () => opened.promise }) })
    const asked = origin.get(compressedUrl)
    expectToComeAgain(await expire(origin, asked))
    await new Promise<void>((resolve) => opened.resolve({ size: 3, chunks: { next: () => never, close: resolve } }))
  })

  test('a listing keeps its place until it is done, so that no more are made than are allowed', async () => {
    const listing = Promise.withResolvers<Uint8Array>()
    let started = 0
    await using origin = await openHandFed({
      listJson: () => {
        started++
        return listing.promise
      },
    })
    // Six of eight places are what one client may have.
    const answers = Array.from({ length: 7 }, () => origin.get(`/${hashPart}.ls`))
    while (origin.timers.size < 7) await turnOfTheLoop()
    origin.expire()
    for (const answer of answers) expectToComeAgain(await answer)
    const late = origin.get(`/${hashPart}.ls`)
    while (origin.timers.size < 1) await turnOfTheLoop()
    expect(started).toBe(6)
    listing.resolve(Buffer.from('{}'))
    expect((await late).status).toBe(200)
    expect(started).toBe(7)
  })
})

describe('begins at once', () => {
  test('HEAD of a compressed NAR whose size nobody knows: without a length, and without opening or compressing anything', async () => {
    const refuse = () => Promise.reject(new Error('opened'))
    await using origin = await openHandFed({
      larder: standInLarder({ open: refuse, settle: refuse, openRange: refuse }),
    })
    for (const path of [compressedUrl, foreignUrl]) {
      const { status, headers } = await origin.get(path, { method: 'HEAD' })
      expect(status).toBe(200)
      expect(headers['content-length']).toBeUndefined()
      expect(headers['transfer-encoding']).toBeUndefined()
    }
  })
})

describe('an honest end', () => {
  test('a log that breaks in the middle is broken off, one that is damaged from the start is absent', async () => {
    const long = Buffer.alloc(100_000, 'line\n')
    const breaking = () => {
      const parts = [long]
      return new Readable({
        read() {
          const part = parts.pop()
          if (part === undefined) this.destroy(new Error('damaged'))
          else this.push(part)
        },
      })
    }
    await using origin = await openHandFed({ openLog: async () => breaking() })
    // The reset may overtake the header: then there is no reply at all.
    const { status, isComplete } = await origin.get(`/log/${hashPart}-thing.drv`)
    expect([0, 200]).toContain(status)
    expect(isComplete).toBe(false)
    await using other = await openHandFed({
      openLog: async () => new Readable({ read() {} }).destroy(new Error('damaged')),
    })
    expect((await other.get(`/log/${hashPart}-thing.drv`)).status).toBe(404)
  })
})

describe('a log', () => {
  const logOf = (text: string | Buffer) => async () => Readable.from([Buffer.from(text)], { objectMode: false })
  const path = `/log/${hashPart}-thing.drv`

  test('that is short has its length, by GET and by HEAD', async () => {
    await using origin = await openHandFed({ openLog: logOf('building\n') })
    const [got, head] = [await origin.get(path), await origin.get(path, { method: 'HEAD' })]
    expect(got.body.toString()).toBe('building\n')
    expect([got.headers['content-length'], head.headers['content-length']]).toEqual(['9', '9'])
  })

  test('that is empty is a log of no lines', async () => {
    await using origin = await openHandFed({ openLog: logOf('') })
    const { status, headers } = await origin.get(path)
    expect([status, headers['content-length']]).toEqual([200, '0'])
  })

  test('that is long flows as it is read', async () => {
    const long = Buffer.alloc(300_000, 'a line of the log\n')
    await using origin = await openHandFed({ openLog: logOf(long) })
    const { body, headers } = await origin.get(path)
    expect(body.equals(long)).toBe(true)
    expect(headers['transfer-encoding']).toBe('chunked')
    expect((await origin.get(path, { method: 'HEAD' })).status).toBe(200)
  })
})
