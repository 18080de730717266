import { describe, expect, test } from '@jest/globals'

import type { EdgeOptions } from './edge.ts'
import { type ConnectedEdge, get, openConnectedEdge } from './fixture.ts'
import type { HeaderLines } from './reply-head.ts'

const body = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251))

/** An origin that has the body under every path, with these header lines, and the methods it was asked with. */
async function openCachingEdge(
  headers: HeaderLines = [],
  options: EdgeOptions = {},
): Promise<{ readonly connected: ConnectedEdge; readonly asked: unknown[]; readonly url: string }> {
  const asked: unknown[] = []
  const connected = await openConnectedEdge(({ headers: request, reply }) => {
    asked.push(request[':method'])
    reply(200, headers, body)
  }, options)
  return { connected, asked, url: connected.edge.url }
}

describe('the cache of the edge', () => {
  test('keeps what has a cacheable extension for whoever asks next, without asking who it is', async () => {
    const { connected, asked, url } = await openCachingEdge([['Cache-Control', 'public, max-age=60']])
    await using _ = connected
    const first = await get(url, '/a.nar.zst', { headers: { Authorization: 'Basic secret' } })
    const second = await get(url, '/a.nar.zst')
    expect(first.headers['cf-cache-status']).toBe('MISS')
    expect(second).toMatchObject({
      status: 200,
      headers: { 'cf-cache-status': 'HIT', 'content-length': '1000', age: '0' },
      isComplete: true,
    })
    expect(second.body.equals(body)).toBe(true)
    expect(asked).toEqual(['GET'])
    expect(connected.edge.exchanges).toMatchObject([
      { cacheStatus: 'MISS', fromCache: false, bytes: 1000 },
      { cacheStatus: 'HIT', fromCache: true, bytes: 1000, connectorHeaders: undefined },
    ])
  })

  test('keeps nothing without such an extension, however public it is', async () => {
    const { connected, asked, url } = await openCachingEdge([['Cache-Control', 'public, max-age=60']])
    await using _ = connected
    for (const path of ['/a.narinfo', '/a.narinfo', '/a.nar.xz'])
      expect((await get(url, path)).headers['cf-cache-status']).toBe('DYNAMIC')
    expect(asked).toHaveLength(3)
  })

  test('bypasses what is private, and what was asked with Authorization and is not expressly public', async () => {
    const { connected, asked, url } = await openCachingEdge([['Cloudflare-CDN-Cache-Control', 'no-store']])
    await using _ = connected
    const answers = [await get(url, '/a.zst'), await get(url, '/a.zst')]
    expect(answers.map(({ headers }) => headers['cf-cache-status'])).toEqual(['BYPASS', 'BYPASS'])
    expect(answers[0]!.headers['cloudflare-cdn-cache-control']).toBeUndefined()
    expect(asked).toHaveLength(2)

    const open = await openCachingEdge()
    await using _open = open.connected
    expect((await get(open.url, '/a.zst', { headers: { Authorization: 'x' } })).headers['cf-cache-status']).toBe(
      'BYPASS',
    )
    expect((await get(open.url, '/a.zst')).headers['cf-cache-status']).toBe('MISS')
  })

  test('asks with GET for a HEAD of what it may keep, and keeps the body', async () => {
    const { connected, asked, url } = await openCachingEdge()
    await using _ = connected
    const head = await get(url, '/a.zst', { method: 'HEAD' })
    expect(head).toMatchObject({ status: 200, headers: { 'content-length': '1000', 'cf-cache-status': 'MISS' } })
    expect(head.body).toHaveLength(0)
    expect((await get(url, '/a.zst')).headers['cf-cache-status']).toBe('HIT')
    expect((await get(url, '/a.zst', { method: 'HEAD' })).headers['content-length']).toBe('1000')
    expect(asked).toEqual(['GET'])
  })

  test('serves ranges and 304 of what it has', async () => {
    const { connected, url } = await openCachingEdge([['ETag', '"tag"']])
    await using _ = connected
    await get(url, '/a.zst')
    const part = await get(url, '/a.zst', { headers: { Range: 'bytes=990-' } })
    expect(part).toMatchObject({
      status: 206,
      headers: { 'content-range': 'bytes 990-999/1000', 'content-length': '10', 'cf-cache-status': 'HIT' },
    })
    expect(part.body.equals(body.subarray(990))).toBe(true)
    expect((await get(url, '/a.zst', { headers: { Range: 'bytes=-5' } })).body.equals(body.subarray(995))).toBe(true)
    expect(await get(url, '/a.zst', { headers: { Range: 'bytes=1000-' } })).toMatchObject({
      status: 416,
      headers: { 'content-range': 'bytes */1000' },
    })
    expect((await get(url, '/a.zst', { headers: { 'If-None-Match': 'W/"tag"' } })).status).toBe(304)
  })

  test('asks again when the time is over, and when it is purged', async () => {
    let now = 0
    const { connected, asked, url } = await openCachingEdge([['Cache-Control', 'max-age=60']], { now: () => now })
    await using _ = connected
    const statuses: unknown[] = []
    const ask = async () => statuses.push((await get(url, '/a.zst')).headers['cf-cache-status'])
    await ask()
    now = 59_999
    await ask()
    now = 60_000
    await ask()
    await ask()
    connected.edge.purgeCache()
    await ask()
    expect(statuses).toEqual(['MISS', 'HIT', 'EXPIRED', 'HIT', 'MISS'])
    expect(asked).toHaveLength(3)
  })

  test('keeps no body that was cut, nor one that is too large', async () => {
    const { connected, asked, url } = await openCachingEdge([], { cachedBytes: 999 })
    await using _ = connected
    await get(url, '/a.zst')
    await get(url, '/a.zst')
    expect(asked).toHaveLength(2)

    await using cutting = await openConnectedEdge(({ stream, respond }) => {
      respond(200)
      stream.write('half')
      stream.destroy(new Error('cut'))
    })
    const statuses = [await get(cutting.edge.url, '/a.zst'), await get(cutting.edge.url, '/a.zst')].map(
      ({ status }) => status,
    )
    expect(cutting.edge.exchanges.map(({ fromCache }) => fromCache)).toEqual([false, false])
    expect(statuses).not.toContain(304)
  })

  test('caches everything, private or not, where a dashboard rule wants it', async () => {
    const { connected, asked, url } = await openCachingEdge([['Cache-Control', 'private']], {
      cacheRule: { eligible: 'everything', edgeTtlSeconds: 60 },
    })
    await using _ = connected
    await get(url, '/a.narinfo', { headers: { Authorization: 'x' } })
    expect((await get(url, '/a.narinfo')).headers['cf-cache-status']).toBe('HIT')
    expect(asked).toHaveLength(1)
  })
})
