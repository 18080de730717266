/** More requests than there are places: they wait in turn, clients alike, and none waits for ever. */
import { connect } from 'node:net'

import { describe, expect, test } from '@jest/globals'

import { basic } from '../fixtures/cache.ts'
import { type HandFed, type HandFedBody, narSize, narUrl, openHandFed, turnOfTheLoop } from './hand-fed.ts'

const as = (name: string) => ({ headers: { authorization: basic(name, 'secret') } })
const nar = Buffer.alloc(narSize, 'x')

function finish(body: HandFedBody): void {
  body.feed(nar)
  body.end()
}

/** A request whose client says nothing further, until it is destroyed. */
async function ask(origin: HandFed, name: string) {
  const socket = connect(origin.port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(`GET ${narUrl} HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic(name, 'secret')}\r\n\r\n`)
  return socket
}

describe('when all places are taken', () => {
  test('a request waits for one and is then served as any other', async () => {
    await using origin = await openHandFed({ limits: { concurrentNars: 1 } })
    const first = origin.get(narUrl)
    const firstBody = await origin.nextBody()
    const second = origin.get(narUrl)
    await origin.untilWaiting(1)
    finish(firstBody)
    finish(await origin.nextBody())
    for (const answer of [await first, await second]) {
      expect(answer.status).toBe(200)
      expect(answer.body.equals(nar)).toBe(true)
    }
    expect([origin.origin.transfers.underWay, origin.origin.transfers.waiting, origin.timers.size]).toEqual([0, 0, 0])
  })

  test('users are served in turn: one who asks a hundred times makes another wait for one of them', async () => {
    await using origin = await openHandFed({ limits: { concurrentNars: 1 }, users: ['ana', 'ben'] })
    const held = origin.get(narUrl, as('ana'))
    const body = await origin.nextBody()
    const many = Array.from({ length: 100 }, () => origin.get(narUrl, as('ana')))
    await origin.untilWaiting(100)
    const modest = origin.get(narUrl, as('ben'))
    await origin.untilWaiting(101)
    finish(body)
    finish(await origin.nextBody())
    finish(await origin.nextBody())
    expect((await modest).status).toBe(200)
    expect(origin.origin.transfers.waiting).toBeGreaterThan(90)
    void Promise.all(many.map(async () => finish(await origin.nextBody())))
    expect(new Set((await Promise.all([held, ...many])).map(({ status }) => status))).toEqual(new Set([200]))
  })

  test('slow downloads of one user leave places to others', async () => {
    await using origin = await openHandFed({ limits: { concurrentNars: 8, waitingNars: 100 }, users: ['ana', 'ben'] })
    const slow = await Promise.all(Array.from({ length: 20 }, () => ask(origin, 'ana')))
    await origin.untilWaiting(14)
    expect(origin.origin.transfers.underWay).toBe(6)
    for (let at = 0; at < 6; at++) await origin.nextBody()
    const modest = origin.get(narUrl, as('ben'))
    finish(await origin.nextBody())
    expect((await modest).status).toBe(200)
    for (const socket of slow) socket.destroy()
  })

  test('what finds the queue full is answered 503 at once, with Retry-After', async () => {
    await using origin = await openHandFed({ limits: { concurrentNars: 1, waitingNars: 0 } })
    const first = origin.get(narUrl)
    const body = await origin.nextBody()
    const seconds = new Set<number>()
    for (let at = 0; at < 11; at++) {
      const { status, headers, body: phrase } = await origin.get(narUrl)
      expect(status).toBe(503)
      expect(phrase.toString()).toBe('Service Unavailable\n')
      expect(headers['cache-control']).toBe('no-store')
      seconds.add(Number(headers['retry-after']))
    }
    // A crowd is told different times.
    expect(seconds.size).toBe(11)
    expect(Math.min(...seconds)).toBeGreaterThanOrEqual(5)
    expect(Math.max(...seconds)).toBeLessThanOrEqual(15)
    finish(body)
    expect((await first).status).toBe(200)
  })

  test('whoever waits too long is answered 503, in less than half of the time a first byte may take', async () => {
    await using origin = await openHandFed({ limits: { concurrentNars: 1, queueSeconds: 60, firstByteSeconds: 40 } })
    const first = origin.get(narUrl)
    const body = await origin.nextBody()
    const second = origin.get(narUrl)
    await origin.untilWaiting(1)
    const waits = [...origin.timers].filter(({ ms }) => ms <= 20_000)
    expect(waits).toHaveLength(1)
    waits[0]!.goOff()
    const { status, headers } = await second
    expect(status).toBe(503)
    expect(Number(headers['retry-after'])).toBeGreaterThan(0)
    expect(origin.origin.transfers.waiting).toBe(0)
    finish(body)
    expect((await first).status).toBe(200)
    expect(origin.origin.transfers.underWay).toBe(0)
  })

  test('a client that goes away leaves the queue at once', async () => {
    await using origin = await openHandFed({ limits: { concurrentNars: 1 } })
    const first = origin.get(narUrl)
    const body = await origin.nextBody()
    const second = await ask(origin, 'ben')
    await origin.untilWaiting(1)
    second.destroy()
    await origin.untilWaiting(0)
    finish(body)
    expect((await first).status).toBe(200)
    expect([origin.origin.transfers.underWay, origin.timers.size]).toEqual([0, 0])
    expect(origin.exchanges.filter(({ isComplete }) => !isComplete)).toHaveLength(1)
  })

  test('HEAD, conditions and ranges that lie outside need no place', async () => {
    await using origin = await openHandFed({ limits: { concurrentNars: 1, waitingNars: 0 } })
    const first = origin.get(narUrl)
    const body = await origin.nextBody()
    const { headers, status } = await origin.get(narUrl, { method: 'HEAD' })
    expect(status).toBe(200)
    expect(headers['content-length']).toBe(String(narSize))
    expect((await origin.get(narUrl, { headers: { 'if-none-match': headers.etag } })).status).toBe(304)
    expect((await origin.get(narUrl, { headers: { 'if-match': '"other"' } })).status).toBe(412)
    expect((await origin.get(narUrl, { headers: { range: `bytes=${narSize}-` } })).status).toBe(416)
    finish(body)
    await first
  })
})

describe('a place comes back', () => {
  test('when the client goes away before the first byte', async () => {
    await using origin = await openHandFed({ limits: { concurrentNars: 1 } })
    const socket = await ask(origin, 'ben')
    const body = await origin.nextBody()
    socket.destroy()
    while (origin.origin.transfers.underWay > 0) await turnOfTheLoop()
    expect(body.isClosed).toBe(true)
    expect(origin.timers.size).toBe(0)
  })

  test('when it goes away in the middle', async () => {
    await using origin = await openHandFed({ limits: { concurrentNars: 1 } })
    const socket = await ask(origin, 'ben')
    const body = await origin.nextBody()
    body.feed('some bytes')
    await new Promise((resolve) => socket.once('data', resolve))
    socket.destroy()
    while (origin.origin.transfers.underWay > 0) await turnOfTheLoop()
    expect(body.isClosed).toBe(true)
  })

  test('when the lease cannot be had', async () => {
    await using origin = await openHandFed({
      limits: { concurrentNars: 1 },
      leases: { hold: () => Promise.reject(new Error('broken')) },
    })
    expect((await origin.get(narUrl)).status).toBe(500)
    expect(origin.origin.transfers.underWay).toBe(0)
  })

  test('when pipelined requests are cut off with their connection', async () => {
    await using origin = await openHandFed({ limits: { concurrentNars: 4 } })
    const socket = connect(origin.port, '127.0.0.1')
    socket.write(`GET ${narUrl} HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic('ben', 'secret')}\r\n\r\n`.repeat(8))
    await origin.untilWaiting(5)
    const bodies = [await origin.nextBody(), await origin.nextBody(), await origin.nextBody()]
    for (const body of bodies) for (let at = 0; at < 5; at++) body.feed(nar)
    socket.destroy()
    while (origin.origin.transfers.underWay + origin.origin.transfers.waiting > 0) await turnOfTheLoop()
    expect(bodies.every(({ isClosed }) => isClosed)).toBe(true)
  })
})
