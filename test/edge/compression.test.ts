import { brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from '@jest/globals'

import { get, openConnectedEdge } from './fixture.ts'
import type { HeaderLines } from './reply-head.ts'

const text = 'StorePath: /nix/store/xyz\n'.repeat(20)

async function ask(
  headers: HeaderLines,
  accept: string | undefined,
  { body = Buffer.from(text) as Buffer, method = 'GET' } = {},
) {
  await using connected = await openConnectedEdge(({ reply }) => reply(200, [['ETag', '"strong"'], ...headers], body))
  return await get(connected.edge.url, '/x', {
    method,
    headers: accept === undefined ? {} : { 'Accept-Encoding': accept },
  })
}

describe('compression between edge and eyeball', () => {
  test.each([
    ['gzip', 'gzip', gunzipSync],
    ['gzip, deflate, br', 'br', brotliDecompressSync],
    ['br;q=0, gzip;q=0.5', 'gzip', gunzipSync],
  ])(
    'of text/plain for an eyeball that takes %s is %s, without length and with a weak ETag',
    async (accept, encoding, decode) => {
      const { headers, body } = await ask([['Content-Type', 'text/plain; charset=utf-8']], accept)
      expect(headers).toMatchObject({
        'content-encoding': encoding,
        etag: 'W/"strong"',
        vary: 'Accept-Encoding',
        'transfer-encoding': 'chunked',
      })
      expect(headers['content-length']).toBeUndefined()
      expect(decode(body).toString()).toBe(text)
    },
  )

  test.each<[string, HeaderLines, string | undefined]>([
    ['an eyeball that takes none', [['Content-Type', 'text/plain']], undefined],
    ['an eyeball that takes zstd alone', [['Content-Type', 'text/plain']], 'zstd'],
    ['a narinfo', [['Content-Type', 'text/x-nix-narinfo']], 'gzip, br'],
    ['a nar', [['Content-Type', 'application/x-nix-nar']], 'gzip, br'],
    [
      'no-transform',
      [
        ['Content-Type', 'text/plain'],
        ['Cache-Control', 'private, no-transform'],
      ],
      'gzip, br',
    ],
  ])('is not done for %s', async (_, headers, accept) => {
    const answer = await ask(headers, accept)
    expect(answer.headers).toMatchObject({ 'content-length': String(text.length), etag: '"strong"' })
    expect(answer.headers['content-encoding']).toBeUndefined()
    expect(answer.body.toString()).toBe(text)
  })

  test('is not done for a handful of bytes', async () => {
    const answer = await ask([['Content-Type', 'text/plain']], 'gzip', { body: Buffer.from('short') })
    expect(answer.headers['content-encoding']).toBeUndefined()
  })

  test('of the origin is undone for an eyeball that takes none, and kept for one that does', async () => {
    const headers: HeaderLines = [
      ['Content-Type', 'text/x-nix-narinfo'],
      ['Content-Encoding', 'gzip'],
    ]
    const plain = await ask(headers, undefined, { body: gzipSync(text) })
    expect(plain.headers['content-encoding']).toBeUndefined()
    expect(plain.headers['content-length']).toBeUndefined()
    expect(plain.body.toString()).toBe(text)
    const kept = await ask(headers, 'gzip', { body: gzipSync(text) })
    expect(kept.headers).toMatchObject({ 'content-encoding': 'gzip', etag: '"strong"' })
    expect(gunzipSync(kept.body).toString()).toBe(text)
  })

  test('that breaks off is no shorter body', async () => {
    await using connected = await openConnectedEdge(({ stream, respond }) => {
      respond(200, [
        ['Content-Type', 'text/plain'],
        ['Content-Length', '100000'],
      ])
      stream.write(Buffer.alloc(50_000, 'x'), () => stream.destroy(new Error('cut')))
    })
    expect(await get(connected.edge.url, '/', { headers: { 'Accept-Encoding': 'gzip' } })).toMatchObject({
      isComplete: false,
    })
  })
})
