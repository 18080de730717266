/** A far end that sends what it should not: Nix gets the right bytes or an error, and the relay lives on. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'

import { afterEach, describe, expect, test } from '@jest/globals'

import { encodeNix32 } from '../../src/nix/nix32.ts'
import { openTestRelay, type TestRelay } from './test-relay.ts'

const hashPart = 'a'.repeat(32)
const nar = Buffer.alloc(300_000, 'not really a NAR, but bytes with a hash ')
const hashOf = (bytes: Uint8Array) => encodeNix32(createHash('sha256').update(bytes).digest())
const bareHash = hashOf(nar)
const narInfo = (fields: Record<string, string | number> = {}) =>
  Object.entries({
    StorePath: `/nix/store/${hashPart}-x`,
    URL: 'nar/x.nar',
    Compression: 'none',
    NarHash: `sha256:${bareHash}`,
    NarSize: nar.length,
    References: '',
    ...fields,
  })
    .map(([name, value]) => `${name}: ${value}\n`)
    .join('')

const opened: AsyncDisposable[] = []

afterEach(async () => {
  for (const each of opened.splice(0)) await each[Symbol.asyncDispose]()
})

async function relayBefore(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<TestRelay & { readonly asked: string[] }> {
  const asked: string[] = []
  const server: Server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    if (request.url === '/nix-cache-info') response.end('StoreDir: /nix/store\n')
    else handle(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const relay = await openTestRelay(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { patienceMs: 3_000 })
  opened.push(relay, {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
  return Object.assign(relay, { asked })
}

const askNarInfo = async ({ url }: TestRelay, part = hashPart) => await fetch(`${url}/${part}.narinfo`)
const narUrl = ({ url }: TestRelay) => `${url}/nar/${hashPart}-${bareHash}.nar`

/** The body, or why it broke off. */
async function askNar(relay: TestRelay): Promise<Buffer | string> {
  const answer = await fetch(narUrl(relay))
  if (answer.status !== 200) return `HTTP ${answer.status}`
  return await answer.arrayBuffer().then(
    (bytes) => Buffer.from(bytes),
    () => 'broken off',
  )
}

/** A cache without the closure question, whose NAR is answered so. */
const serving =
  (text: string, answerNar: (request: IncomingMessage, response: ServerResponse) => void) =>
  (request: IncomingMessage, response: ServerResponse): void => {
    if (request.method === 'POST') response.writeHead(404).end()
    else if (request.url === `/${hashPart}.narinfo`) response.end(text)
    else answerNar(request, response)
  }

describe('NARs', () => {
  test('the right bytes pass', async () => {
    const relay = await relayBefore(serving(narInfo(), (_request, response) => void response.end(nar)))
    expect(await askNar(relay)).toEqual(nar)
  })

  test('wrong bytes are broken off before their end, and the path is absent afterwards', async () => {
    const wrong = Buffer.from(nar)
    wrong[250_000] = 1
    const relay = await relayBefore(serving(narInfo(), (_request, response) => void response.end(wrong)))
    expect(await askNar(relay)).toBe('broken off')
    expect((await askNarInfo(relay)).status).toBe(404)
  })

  test.each([
    ['too short', nar.subarray(0, 200_000)],
    ['too long', Buffer.concat([nar, Buffer.from('more')])],
  ])('a NAR that is %s is never whole', async (_how, bytes) => {
    const relay = await relayBefore(serving(narInfo(), (_request, response) => void response.end(bytes)))
    expect(await askNar(relay)).toMatch(/^(?:broken off|HTTP 404)$/)
  })

  test('a NAR without end is broken off when it is longer than announced', async () => {
    const relay = await relayBefore(
      serving(narInfo(), (_request, response) => {
        const more = () => {
          while (!response.destroyed && response.write(nar));
        }
        response.on('drain', more)
        more()
      }),
    )
    expect(await askNar(relay)).toBe('broken off')
    expect(relay.relay.status.bytes.received).toBeLessThan(50_000_000)
  })

  test('what does not decompress is broken off', async () => {
    const relay = await relayBefore(
      serving(narInfo({ Compression: 'zstd' }), (_request, response) => void response.end('this is no zstd')),
    )
    expect(await askNar(relay)).toMatch(/^(?:broken off|HTTP 404)$/)
  })

  test.each(['http://127.0.0.1:1/x.nar', '//127.0.0.1:1/x.nar', 'file:///etc/passwd'])(
    'a URL that leads elsewhere is not followed: %s',
    async (url) => {
      const relay = await relayBefore(serving(narInfo({ URL: url }), (_request, response) => void response.end(nar)))
      expect(await askNar(relay)).toMatch(/^(?:broken off|HTTP 404)$/)
      expect(relay.asked.filter((line) => /passwd|x\.nar/.test(line))).toEqual([])
    },
  )

  test('a NAR that moved to another URL is asked for there', async () => {
    let current = 'x.nar'
    const relay = await relayBefore((request, response) => {
      if (request.method === 'POST') response.writeHead(404).end()
      else if (request.url === `/${hashPart}.narinfo`) response.end(narInfo({ URL: `nar/${current}` }))
      else if (request.url === `/nar/${current}`) response.end(nar)
      else response.writeHead(404).end()
    })
    expect((await askNarInfo(relay)).status).toBe(200)
    current = 'y.nar'
    expect(await askNar(relay)).toEqual(nar)
    expect(relay.asked.filter((line) => line.includes('/nar/'))).toEqual(['GET /nar/x.nar', 'GET /nar/y.nar'])
  })

  test('a redirect is not followed', async () => {
    const relay = await relayBefore(
      serving(
        narInfo(),
        (_request, response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
      ),
    )
    expect(await askNar(relay)).toBe('HTTP 404')
  })
})

describe('narinfos', () => {
  test.each([
    ['of another path', narInfo({ StorePath: `/nix/store/${'b'.repeat(32)}-y` })],
    ['of another store', narInfo({ StorePath: `/gnu/store/${hashPart}-x` })],
    ['that are none', '<html>'],
    ['of a megabyte and more', narInfo({ System: 'x'.repeat(1_100_000) })],
  ])('%s are none', async (_which, text) => {
    const relay = await relayBefore(serving(text, (_request, response) => void response.end(nar)))
    expect((await askNarInfo(relay)).status).toBe(404)
  })

  const closure =
    (body: Buffer | string, headers: Record<string, string> = {}) =>
    (request: IncomingMessage, response: ServerResponse): void => {
      if (request.method === 'POST')
        response.writeHead(200, { 'content-type': 'application/jsonl', ...headers }).end(body)
      else response.writeHead(404).end()
    }

  test.each([
    ['no JSON', 'this is no JSON\n'],
    ['JSON of another kind', '[1, 2]\nnull\n"x"\n{"narInfo": 7}\n{"absent": {}}\n{"bases": []}\n'],
    ['nothing', ''],
    ['an endless line', 'x'.repeat(40_000_000)],
  ])('a closure of %s leaves the path absent, and the relay alive', async (_what, body) => {
    const relay = await relayBefore(closure(body))
    expect((await askNarInfo(relay)).status).toBe(404)
    expect((await fetch(`${relay.url}/nix-cache-info`)).status).toBe(200)
  })

  test('a bomb of gzip is given up', async () => {
    const bomb = gzipSync(Buffer.alloc(200_000_000))
    const before = process.memoryUsage().rss
    const relay = await relayBefore(closure(bomb, { 'content-encoding': 'gzip' }))
    expect((await askNarInfo(relay)).status).toBe(404)
    // The bomb itself is in this process too, for a while.
    expect(process.memoryUsage().rss - before).toBeLessThan(400_000_000)
  })

  test('lines that come before nonsense count', async () => {
    const line = JSON.stringify({ narInfo: narInfo(), bases: [{ hashPart: 1 }, null, { hashPart, narHash: 'x' }] })
    const relay = await relayBefore(closure(`${line}\nnonsense\n`))
    expect((await askNarInfo(relay)).status).toBe(200)
  })
})
