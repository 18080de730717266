/** The writer's thread from outside: its end, its close, and how far bodies run ahead of it. */
import { describe, expect, test } from '@jest/globals'

import { BodySender } from '../../../src/store/depot/body-stream.ts'
import { windowBytes } from '../../../src/store/depot/writer-messages.ts'
import { startWriterThread } from '../../../src/store/depot/writer-thread.ts'
import { ann, inChunks, make, noise, TestDepot } from './fixture.ts'
import { mib, putPart } from './parts.ts'

const dying = new URL('./dying-worker.ts', import.meta.url)

test('a thread that ends unexpectedly fails its uploads in words; the next one is taken by another thread', async () => {
  await using test = new TestDepot()
  await test.reopen({ startWriter: (options, host, log) => startWriterThread(options, host, log, dying) })
  const app = make('app')
  expect(await test.push(app)).toEqual({ status: 'registered' })
  const last = { fileHash: app.fileHash.replace(/.$/, 'x'), fileSize: 7, compression: 'none', who: ann } as const
  expect(await test.depot.receiveNar(last, inChunks(Buffer.from('die now')))).toMatchObject({
    status: 'refused',
    code: 'unavailable',
  })
  expect((await test.read(app)).equals(app.file)).toBe(true)
  expect(await test.push(make('next'))).toEqual({ status: 'registered' })
  expect(test.depot.figures()).toMatchObject({ objects: 2, damaged: 0 })
})

test('a body that stalls does not keep the depot from closing', async () => {
  await using test = await TestDepot.open()
  const app = make('app', { tree: noise(300_000) })
  let hasBegun: () => void = () => {}
  const begun = new Promise<void>((resolve) => (hasBegun = resolve))
  async function* body() {
    yield app.file.subarray(0, 1000)
    hasBegun()
    await new Promise(() => {})
  }
  const received = test.depot.receiveNar(
    { fileHash: app.fileHash, fileSize: app.file.length, compression: 'zstd', who: ann },
    body(),
  )
  await begun
  await test.close()
  expect(await received).toMatchObject({ status: 'refused', code: 'cut' })
})

test('a body is read no further ahead than a window, and goes on as it is taken', async () => {
  const sent: number[] = []
  const sum = () => sent.reduce((total, bytes) => total + bytes, 0)
  let read = 0
  async function* body() {
    for (let at = 0; at < 64; at++) {
      read++
      yield new Uint8Array(65_536)
    }
  }
  const sender = new BodySender((bytes) => void sent.push(bytes.length))
  const pumped = sender.pump(body())
  // The generator and the sender wait for nothing but each other: a turn of the event loop is all they need.
  await new Promise(setImmediate)
  expect(sum()).toBe(windowBytes)
  expect(read).toBe(windowBytes / 65_536 + 1)
  sender.taken(65_536)
  await new Promise(setImmediate)
  expect(sum()).toBe(windowBytes + 65_536)
  sender.drop()
  await pumped
  expect(sum()).toBe(windowBytes + 65_536)
})

describe('too much at once', () => {
  test('of one user is told to come again, and goes on when others are done', async () => {
    await using test = await TestDepot.open()
    const made = make('parts', { tree: noise(20 * mib), compression: 'none' })
    const outcomes = await Promise.all(Array.from({ length: 20 }, (_, index) => putPart(test, made, index)))
    const busy = outcomes.filter((outcome) => outcome.status === 'refused')
    expect(busy.length).toBeGreaterThan(0)
    expect(busy.every((outcome) => outcome.status === 'refused' && outcome.code === 'busy')).toBe(true)
    for (const [index, outcome] of outcomes.entries())
      if (outcome.status === 'refused') expect(['stored', 'known']).toContain((await putPart(test, made, index)).status)
  })
})
