import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { get as httpsGet } from 'node:https'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from '@jest/globals'

import { type Edge, openEdge } from './edge.ts'
import { closed, get, openConnectedEdge } from './fixture.ts'
import { openPlainConnection, type PlainConnection, type TunnelRequest } from './plain-connector.ts'

const ok = ({ reply }: TunnelRequest) => reply(200, [], 'ok')

describe('a request on its way to the connector', () => {
  async function headersFor(path: string, headers: Record<string, string>, method = 'GET') {
    const seen: TunnelRequest[] = []
    await using connected = await openConnectedEdge((request) => {
      seen.push(request)
      ok(request)
    })
    await get(connected.edge.url, path, { headers, method })
    return { sent: seen[0]!.headers, exchange: connected.edge.exchanges[0]! }
  }

  test('has the public host name and the raw path', async () => {
    const { sent } = await headersFor('/a//b/../%2Fc?d=e%20f', { host: 'elsewhere.example' })
    expect(sent).toMatchObject({
      ':authority': 'cache.example.org',
      ':path': '/a//b/../%2Fc?d=e%20f',
      ':scheme': 'https',
      ':method': 'GET',
    })
    expect(sent.host).toBeUndefined()
  })

  test('tells who asked, in what the edge vouches for', async () => {
    const { sent, exchange } = await headersFor('/', {})
    expect(sent).toMatchObject({
      'cf-connecting-ip': '127.0.0.1',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'https',
      'cdn-loop': 'cloudflare; loops=1',
    })
    expect(sent).toMatchObject({ 'cf-visitor': '{"scheme":"https"}', 'cf-ipcountry': 'GB', 'cf-ray': exchange.ray })
    expect(exchange.ray).toMatch(/^[0-9a-f]{16}-[A-Z]{3}$/)
    expect(exchange.connectorHeaders).toMatchObject({ 'cf-ray': exchange.ray })
  })

  test("has none of the eyeball's forgeries, least of all those that make another kind of stream", async () => {
    const { sent } = await headersFor('/', {
      'CF-Connecting-IP': '192.0.2.1',
      'CF-Ray': 'forged',
      'Cf-Warp-Tag-Id': 'forged',
      'Cf-Cloudflared-Proxy-Connection-Upgrade': 'control-stream',
      'Cf-Cloudflared-Proxy-Src': '192.0.2.1',
      'X-Forwarded-Proto': 'http',
      'X-Forwarded-For': '192.0.2.9',
      'CDN-Loop': 'forged',
    })
    expect(JSON.stringify(sent)).not.toContain('forged')
    expect(sent).toMatchObject({
      'cf-connecting-ip': '127.0.0.1',
      'x-forwarded-proto': 'https',
      'x-forwarded-for': '192.0.2.9,127.0.0.1',
    })
    expect(Object.keys(sent).filter((name) => name.startsWith('cf-cloudflared') || name === 'cf-warp-tag-id')).toEqual(
      [],
    )
  })

  test.each([undefined, 'zstd', 'identity', 'gzip;q=0'])(
    'says Accept-Encoding "gzip, br" where the eyeball says %s',
    async (given) => {
      const { sent } = await headersFor('/', given ? { 'Accept-Encoding': given } : {})
      expect(sent['accept-encoding']).toBe('gzip, br')
    },
  )

  test('keeps Authorization, User-Agent and Range, and loses what concerns the connection', async () => {
    const { sent } = await headersFor('/x.nar', {
      Authorization: 'Basic x',
      'User-Agent': 'curl',
      Range: 'bytes=1-',
      Connection: 'close, X-Hop',
      'X-Hop': '1',
      TE: 'trailers',
    })
    expect(sent).toMatchObject({ authorization: 'Basic x', 'user-agent': 'curl', range: 'bytes=1-' })
    expect(Object.keys(sent)).not.toEqual(expect.arrayContaining(['x-hop']))
    expect(sent.te).toBeUndefined()
  })

  test('has its body, with Content-Length only where the eyeball gave one', async () => {
    const bodies: [string | undefined, string][] = []
    await using connected = await openConnectedEdge(async (request) => {
      bodies.push([request.headers['content-length'], (await request.readBody()).toString()])
      ok(request)
    })
    const { edge } = connected
    await get(edge.url, '/', { method: 'PUT', body: 'with', headers: { 'Content-Length': 4 } })
    await get(edge.url, '/', { method: 'PUT', body: 'without', headers: { 'Transfer-Encoding': 'chunked' } })
    edge.isQuicLike = true
    await get(edge.url, '/', { method: 'PUT', body: 'lost', headers: { 'Transfer-Encoding': 'chunked' } })
    await get(edge.url, '/', { method: 'PUT', body: 'kept', headers: { 'Content-Length': 4 } })
    expect(bodies).toEqual([
      ['4', 'with'],
      [undefined, 'without'],
      [undefined, ''],
      ['4', 'kept'],
    ])
  })

  test('is spread over the connections, and names the one that had it', async () => {
    await using edge = await openEdge()
    const token = edge.token()
    const origin = ({ reply, connIndex }: TunnelRequest) => reply(200, [], String(connIndex))
    await using _first = await openPlainConnection({ edge, token, connIndex: 0, origin })
    await using _second = await openPlainConnection({ edge, token, connIndex: 1, origin })
    await edge.connected(2)
    const answers = await Promise.all([1, 2, 3, 4].map(() => get(edge.url, '/')))
    expect(answers.map(({ body }) => body.toString()).sort()).toEqual(['0', '0', '1', '1'])
    expect(edge.exchanges.map(({ connIndex }) => connIndex).sort()).toEqual([0, 0, 1, 1])
  })
})

describe('a reply on its way to the eyeball', () => {
  test("has the origin's header from the one field, value by value, without its connection's", async () => {
    await using connected = await openConnectedEdge(({ reply }) =>
      reply(
        203,
        [
          ['X-Own', 'päper'],
          ['Set-Cookie', 'a=1'],
          ['Set-Cookie', 'b=2'],
          ['Connection', 'X-Other'],
          ['Keep-Alive', 'timeout=5'],
          ['Server', 'origin'],
          ['Cloudflare-CDN-Cache-Control', 'no-store'],
          ['CDN-Cache-Control', 'no-store'],
        ],
        'body',
      ),
    )
    const { status, headers, body } = await get(connected.edge.url, '/')
    expect({ status, body: body.toString() }).toEqual({ status: 203, body: 'body' })
    expect(headers).toMatchObject({
      'x-own': 'päper',
      'set-cookie': ['a=1', 'b=2'],
      server: 'cloudflare',
      'content-length': '4',
      'cf-cache-status': 'DYNAMIC',
      'cdn-cache-control': 'no-store',
    })
    expect(headers['cloudflare-cdn-cache-control']).toBeUndefined()
    expect(headers['keep-alive']).toBeUndefined()
    expect(headers['cf-ray']).toBe(connected.edge.exchanges[0]!.ray)
  })

  test('keeps its trailers and its unknown length', async () => {
    await using connected = await openConnectedEdge(({ stream, respond }) => {
      stream.once('wantTrailers', () => stream.sendTrailers({ 'x-sum': '42' }))
      stream.respond(
        { ':status': 200, 'cf-cloudflared-response-meta': '{"src":"origin"}', 'cf-cloudflared-response-headers': '' },
        { waitForTrailers: true },
      )
      stream.end('abc')
      void respond
    })
    const { headers, body, trailers, isComplete } = await get(connected.edge.url, '/')
    expect({ body: body.toString(), trailers, isComplete }).toEqual({
      body: 'abc',
      trailers: { 'x-sum': '42' },
      isComplete: true,
    })
    expect(headers['transfer-encoding']).toBe('chunked')
  })

  test('HEAD has a length and no body, and reaches the connector as HEAD where nothing is cached', async () => {
    const methods: unknown[] = []
    await using connected = await openConnectedEdge(({ headers, respond }) => {
      methods.push(headers[':method'])
      respond(200, [['Content-Length', '1234']], { endStream: true })
    })
    expect(await get(connected.edge.url, '/x.nar', { method: 'HEAD' })).toMatchObject({
      status: 200,
      headers: { 'content-length': '1234' },
      isComplete: true,
    })
    expect(methods).toEqual(['HEAD'])
  })

  test('304 and 204 have no body', async () => {
    await using connected = await openConnectedEdge(({ headers, respond }) =>
      respond(Number(headers[':path']?.slice(1)), [['ETag', '"a"']], { endStream: true }),
    )
    for (const status of [304, 204])
      expect(await get(connected.edge.url, `/${status}`)).toMatchObject({
        status,
        isComplete: true,
        headers: { etag: '"a"' },
      })
  })

  test('is there over https, too, with the certificate of caFile', async () => {
    await using connected = await openConnectedEdge(ok)
    const { edge } = connected
    const request = httpsGet(edge.httpsUrl, { ca: await readFile(edge.caFile), agent: false })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    expect(response.statusCode).toBe(200)
    response.resume()
    await once(response, 'close')
  })
})

describe('a broken transfer', () => {
  test.each([
    ['with a length', [['Content-Length', '10']] as [string, string][]],
    ['without one', []],
  ])('is never ended cleanly when the connector resets a body %s', async (_, headers) => {
    const open = Promise.withResolvers<TunnelRequest>()
    await using connected = await openConnectedEdge((request) => {
      request.respond(200, headers)
      request.stream.write('half')
      open.resolve(request)
    })
    const request = httpRequest(connected.edge.url, { agent: false }).end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    response.on('error', () => {})
    await once(response, 'data')
    ;(await open.promise).stream.destroy(new Error('the origin is gone'))
    await closed(response)
    expect(response.complete).toBe(false)
    expect(connected.edge.exchanges).toMatchObject([{ isComplete: false, bytes: 4 }])
  })

  test.each([
    ['the edge drops the connection', (edge: Edge) => edge.dropConnections(1)],
    ['the connector goes away', (_edge: Edge, connection: PlainConnection) => connection[Symbol.asyncDispose]()],
  ])('is never ended cleanly when %s, nor tried again through another', async (_, sever) => {
    await using edge = await openEdge()
    let requests = 0
    const origin = (request: TunnelRequest) => {
      requests++
      request.respond(200)
      request.stream.write('half')
    }
    await using first = await openPlainConnection({ edge, token: edge.token(), origin })
    await edge.connected(1)
    await using _second = await openPlainConnection({ edge, token: edge.token(), origin, connIndex: 1 })
    await edge.connected(2)
    const request = httpRequest(edge.url, { agent: false }).end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    response.on('error', () => {})
    await once(response, 'data')
    sever(edge, first)
    await closed(response)
    expect(response.complete).toBe(false)
    expect(requests).toBe(1)
  })

  test('before any header is a 520, or a 502 when the whole connection went', async () => {
    const requests: TunnelRequest[] = []
    const arrived = Promise.withResolvers<void>()
    await using connected = await openConnectedEdge((request) => {
      if (request.headers[':path'] === '/reset') return request.stream.close(2)
      requests.push(request)
      arrived.resolve()
    })
    const { edge } = connected
    expect(await get(edge.url, '/reset')).toMatchObject({ status: 520, body: Buffer.from('error code: 520') })
    const answer = get(edge.url, '/dropped')
    await arrived.promise
    edge.dropConnections()
    expect((await answer).status).toBe(502)
  })

  test('an eyeball that leaves resets the stream, in the body of the request as well', async () => {
    const streams: TunnelRequest[] = []
    const seen = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    await using connected = await openConnectedEdge((request) => {
      streams.push(request)
      if (request.headers[':method'] === 'GET') request.respond(200)
      else request.stream.resume()
      seen[streams.length - 1]!.resolve()
    })
    const { edge } = connected
    const download = httpRequest(edge.url, { agent: false }).end()
    download.on('error', () => {})
    await seen[0]!.promise
    const reset = once(streams[0]!.stream, 'close')
    download.destroy()
    await reset
    expect(streams[0]!.stream.rstCode).toBe(8)

    const upload = httpRequest(edge.url, { agent: false, method: 'PUT', headers: { 'Content-Length': 100 } })
    upload.on('error', () => {})
    upload.write('only ten b')
    await seen[1]!.promise
    const cut = closed(streams[1]!.stream)
    upload.destroy()
    await cut
    expect(streams[1]!.stream.rstCode).toBe(8)
  })
})

describe('back-pressure', () => {
  const mib = Buffer.alloc(2 ** 20)

  test('an eyeball that does not read keeps the connector from writing on', async () => {
    let written = 0
    const full = Promise.withResolvers<void>()
    await using connected = await openConnectedEdge(async ({ stream, respond }) => {
      respond(200, [['Content-Length', String(256 * mib.length)]])
      while (!stream.destroyed && written < 256) {
        written++
        if (stream.write(mib)) continue
        const drained = once(stream, 'drain').catch(() => {})
        const timeout = quiet(50).then(() => 'quiet')
        if ((await Promise.race([drained, timeout])) === 'quiet') return full.resolve()
      }
    })
    const { edge } = connected
    const request = httpRequest(edge.url, { agent: false }).end()
    request.on('error', () => {})
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    response.on('error', () => {})
    response.pause()
    await full.promise
    // What kernel buffers and windows hold, far less than all of it.
    expect(written).toBeLessThan(64)
    expect(edge.exchanges[0]!.bytes).toBeLessThan(64 * mib.length)
    request.destroy()
  })

  test('a connector that does not read keeps the eyeball from writing on', async () => {
    await using connected = await openConnectedEdge(() => {})
    const { edge } = connected
    const request = httpRequest(edge.url, {
      agent: false,
      method: 'PUT',
      headers: { 'Content-Length': 64 * mib.length },
    })
    request.on('error', () => {})
    for (let i = 0; i < 64; i++) request.write(mib)
    // The window is full when nothing more passes in many turns.
    for (let before = -1; before === 0 || before !== (edge.exchanges[0]?.requestBytes ?? -2); ) {
      before = edge.exchanges[0]?.requestBytes ?? 0
      await quiet(50)
    }
    expect(edge.exchanges[0]!.requestBytes).toBeGreaterThan(0)
    // The connector's window is 1 MiB.
    expect(edge.exchanges[0]!.requestBytes).toBeLessThan(4 * mib.length)
    request.destroy()
  })
})

/** So many turns of the event loop in which whatever can go on goes on. */
async function quiet(turns: number): Promise<void> {
  for (let i = 0; i < turns; i++) await turn()
}
