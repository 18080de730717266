import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { describe, expect, test } from '@jest/globals'

import { openEdge } from './edge.ts'
import { get, openConnectedEdge } from './fixture.ts'
import { openPlainConnection, type TunnelRequest } from './plain-connector.ts'

describe('the body limit', () => {
  test('is 100 MB, and what declares more never reaches the connector', async () => {
    let requests = 0
    await using connected = await openConnectedEdge((request) => {
      requests++
      request.reply(200, [], '')
    })
    const { edge } = connected
    expect(edge.limits.bodyBytes).toBe(100_000_000)
    const request = httpRequest(edge.url, { agent: false, method: 'PUT', headers: { 'Content-Length': 100_000_001 } })
    request.on('error', () => {})
    request.flushHeaders()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    expect(response.statusCode).toBe(413)
    request.destroy()
    expect(requests).toBe(0)
  })

  test('ends a streamed body that grows beyond it with 413, and resets the stream', async () => {
    const closed = Promise.withResolvers<number>()
    await using connected = await openConnectedEdge(
      ({ stream }) => {
        stream.resume()
        stream.once('close', () => closed.resolve(stream.rstCode))
      },
      { bodyBytes: 1000 },
    )
    const { edge } = connected
    const answer = await get(edge.url, '/', {
      method: 'PUT',
      headers: { 'Transfer-Encoding': 'chunked' },
      body: Buffer.alloc(1001),
    })
    expect(answer.status).toBe(413)
    expect(await closed.promise).toBe(8)
  })

  test('lets a body of exactly the limit through', async () => {
    await using connected = await openConnectedEdge(
      async (request) => request.reply(200, [], String((await request.readBody()).length)),
      { bodyBytes: 1000 },
    )
    expect((await get(connected.edge.url, '/', { method: 'PUT', body: Buffer.alloc(1000) })).body.toString()).toBe(
      '1000',
    )
  })
})

describe("an origin's silence", () => {
  test('is a 524 with the short body, and the stream is reset', async () => {
    const closed = Promise.withResolvers<number>()
    await using connected = await openConnectedEdge(
      ({ stream }) => stream.once('close', () => closed.resolve(stream.rstCode)),
      { replyMs: 30 },
    )
    expect(await get(connected.edge.url, '/')).toMatchObject({ status: 524, body: Buffer.from('error code: 524') })
    expect(await closed.promise).toBe(8)
  })

  test('in the middle of a body breaks it off', async () => {
    await using connected = await openConnectedEdge(
      ({ stream, respond }) => {
        respond(200, [['Content-Length', '10']])
        stream.write('half')
      },
      { replyMs: 30 },
    )
    expect(await get(connected.edge.url, '/')).toMatchObject({
      status: 200,
      body: Buffer.from('half'),
      isComplete: false,
    })
  })

  test('may last 120 s by default', async () => {
    await using edge = await openEdge()
    expect(edge.limits.replyMs).toBe(120_000)
  })
})

describe('pages of the edge', () => {
  test('530 with error 1033 where no connector is', async () => {
    await using edge = await openEdge()
    expect(await get(edge.url, '/')).toMatchObject({ status: 530, body: Buffer.from('error code: 1033') })
    expect(edge.exchanges).toMatchObject([{ status: 530, connectorHeaders: undefined, cacheStatus: undefined }])
  })

  test('502 as HTML where the connector could not reach the origin, and as it is where the origin said so itself', async () => {
    await using connected = await openConnectedEdge(({ headers, respond }) =>
      headers[':path'] === '/own'
        ? respond(502, [['X-Own', '1']], { endStream: true })
        : respond(502, [['Content-Length', '0']], { src: 'cloudflared', endStream: true }),
    )
    const { edge } = connected
    expect(await get(edge.url, '/')).toMatchObject({
      status: 502,
      headers: { 'content-type': 'text/html; charset=UTF-8' },
    })
    expect(await get(edge.url, '/own')).toMatchObject({ status: 502, headers: { 'x-own': '1' } })
  })

  test('a challenge for everyone while it is on', async () => {
    await using connected = await openConnectedEdge(({ reply }) => reply(200, [], 'ok'))
    const { edge } = connected
    edge.challenge(true)
    const challenged = await get(edge.url, '/')
    expect(challenged).toMatchObject({
      status: 403,
      headers: { 'cf-mitigated': 'challenge', 'content-type': 'text/html; charset=UTF-8' },
    })
    expect(challenged.body.toString()).toContain('Just a moment...')
    edge.challenge(false)
    expect((await get(edge.url, '/')).status).toBe(200)
  })
})

describe('dropAfterBytes', () => {
  const body = Buffer.from(Array.from({ length: 100_000 }, (_, i) => i % 251))
  const origin = ({ reply }: TunnelRequest) => reply(200, [], body)

  test('lets so many bytes of the body pass, then the connection is gone', async () => {
    await using connected = await openConnectedEdge(origin)
    const { edge, connection } = connected
    edge.dropAfterBytes(30_000)
    const answer = await get(edge.url, '/')
    expect(answer).toMatchObject({ status: 200, isComplete: false })
    expect(answer.body.equals(body.subarray(0, 30_000))).toBe(true)
    await connection.closed
    await edge.lost(1)
    await using _again = await openPlainConnection({ edge, token: edge.token(), origin })
    await edge.connected(1)
    expect((await get(edge.url, '/')).isComplete).toBe(true)
  })

  test('strikes as often as it was told to, and leaves smaller bodies alone', async () => {
    await using edge = await openEdge()
    edge.dropAfterBytes(100_000, 2)
    for (const isComplete of [false, false, true]) {
      await using _connection = await openPlainConnection({
        edge,
        token: edge.token(),
        origin: ({ headers, reply }) => reply(200, [], headers[':path'] === '/big' ? Buffer.alloc(200_000) : 'small'),
      })
      await edge.connected(1)
      expect((await get(edge.url, '/small')).isComplete).toBe(true)
      expect((await get(edge.url, '/big')).isComplete).toBe(isComplete)
      edge.dropConnections()
    }
  })
})
