/** The stream of the status, over a real socket, with a clock that the test moves. */
import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

import { createCacheHeaders } from '../../../src/http/cache-headers.ts'
import { createEventStreams, type EventStreams } from '../../../src/http/events/event-streams.ts'
import { Reply } from '../../../src/http/reply.ts'

let server: Server
let streams: EventStreams
let text: string
let render: () => string
let mayContinue: boolean
/** What waits for the clock. */
let due: Set<() => void>

beforeEach(async () => {
  text = 'first'
  render = () => text
  mayContinue = true
  due = new Set()
  streams = createEventStreams({
    after(_ms, callback) {
      due.add(callback)
      return () => due.delete(callback)
    },
    mayContinue: () => mayContinue,
  })
  server = createServer((request, response) => {
    const reply = new Reply(request, response, createCacheHeaders(false, 'deny'), { exchanged() {} })
    reply.identity = { name: request.url!, access: new Set(['pull']) }
    streams.start(reply, () => render())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
})

afterEach(async () => {
  streams.end()
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
})

async function open(user: string): Promise<IncomingMessage> {
  const request = get({ port: (server.address() as AddressInfo).port, path: user, agent: false })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.setEncoding('utf8')
  return response
}

const nextChunk = async (stream: IncomingMessage) => String((await once(stream, 'data'))[0])

/** All that wait once: about three seconds. */
function tick(times = 1): void {
  for (let time = 0; time < times; time++) {
    const now = [...due]
    due.clear()
    for (const callback of now) callback()
  }
}

describe('event streams', () => {
  test('send the text at once, and again when it has changed', async () => {
    const stream = await open('/ben')
    expect(stream.headers['content-type']).toBe('text/event-stream')
    expect(stream.headers['cache-control']).toBe('no-store')
    expect(await nextChunk(stream)).toBe('data: first\n\n')
    tick()
    text = 'two\nlines'
    tick()
    expect(await nextChunk(stream)).toBe('data: two\ndata: lines\n\n')
  })

  test('send a comment after about twenty seconds of silence', async () => {
    const stream = await open('/ben')
    await nextChunk(stream)
    tick(7)
    expect(await nextChunk(stream)).toBe(': still here\n\n')
  })

  test('end when the text cannot be rendered: the process goes on', async () => {
    const stream = await open('/ben')
    await nextChunk(stream)
    render = () => {
      throw new Error('the disk is gone')
    }
    tick()
    stream.resume()
    await once(stream, 'end')
    expect(streams.count).toBe(0)
  })

  test('end with the login of their reader, without another word', async () => {
    const stream = await open('/ben')
    await nextChunk(stream)
    text = 'secret'
    mayContinue = false
    tick()
    const rest: string[] = []
    stream.on('data', (chunk: string) => rest.push(chunk))
    await once(stream, 'end')
    expect([rest, streams.count, due.size]).toEqual([[], 0, 0])
  })

  test('end when told to, and then none begins', async () => {
    const stream = await open('/ben')
    await nextChunk(stream)
    streams.end()
    stream.resume()
    await once(stream, 'end')
    expect([streams.count, due.size]).toEqual([0, 0])
    expect((await open('/ben')).statusCode).toBe(503)
  })

  test('are few for each user', async () => {
    const own = await Promise.all(Array.from({ length: 6 }, () => open('/ben')))
    expect(own.map(({ statusCode }) => statusCode)).toEqual(Array(6).fill(200))
    expect((await open('/ben')).statusCode).toBe(503)
    expect((await open('/ana')).statusCode).toBe(200)
  })

  test('leave nothing behind when the reader goes', async () => {
    const stream = await open('/ben')
    await nextChunk(stream)
    stream.destroy()
    while (streams.count > 0) await new Promise((resolve) => setImmediate(resolve))
    expect(due.size).toBe(0)
  })

  test('end after ten minutes, so that the login is checked again', async () => {
    const stream = await open('/ben')
    await nextChunk(stream)
    stream.resume()
    tick(201)
    await once(stream, 'end')
    expect(streams.count).toBe(0)
  })
})
