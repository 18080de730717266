/** "When Nix complains": each message is provoked from a real Nix, and what it prints is what the guide has. */
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { stripVTControlCharacters } from 'node:util'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { openTestCache, type TestCache } from '../fixtures/cache.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { readPage } from './blocks.ts'

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure
let cache: TestCache
let netrc: string

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  closure = await store.buildClosure()
  cache = await openTestCache(store)
  netrc = await nix.writeNetrc([{ login: 'ben', password: 'secret' }])
})

afterAll(async () => {
  await cache[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

interface Case {
  readonly path?: string
  readonly from?: string
  readonly netrc?: string
  readonly how?: 'copy' | 'realise'
  readonly options?: Readonly<Record<string, string>>
}

async function complaintOf({ path = closure.app, from = cache.url, how = 'copy', ...rest }: Case): Promise<string> {
  const wish = {
    from,
    to: await nix.openStore(),
    paths: [path],
    allowFailure: true,
    ...rest,
    options: { 'download-attempts': '2', ...rest.options },
  }
  const { code, stderr } = await nix[how](wish)
  expect(code).not.toBe(0)
  return stripVTControlCharacters(stderr)
}

/** Answers every request in one way. */
async function openServer(answer: RequestListener): Promise<{ readonly url: string } & AsyncDisposable> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** As it stands in the guide: in code, with an ellipsis for what differs. */
function expectInGuide(message: string, complaint: string): void {
  expect(complaint).toMatch(
    new RegExp(
      message
        .split('…')
        .map((part) => part.replaceAll(/[()'.?]/g, '\\$&'))
        .join('[\\s\\S]*'),
    ),
  )
  const shown = readPage('docs/guide.md').split('## 10. When Nix complains')[1]!
  expect(shown).toContain(message)
}

test.each<[string, () => Case]>([
  ['does not appear to be a binary cache', () => ({})],
  ["don't know how to build these paths", () => ({ how: 'realise' })],
  [
    "path '…' is required, but there is no substituter that can build it",
    () => ({ netrc, path: '/nix/store/00000000000000000000000000000000-absent' }),
  ],
  ["cannot add path '…' because it lacks a valid signature", () => ({ netrc })],
  [
    "the substitute for '…' … is not signed by any of the keys in 'trusted-public-keys'",
    () => ({ netrc, how: 'realise' }),
  ],
  ["Couldn't resolve host name (6)", () => ({ from: 'https://cache.invalid' })],
])('the guide has what Nix prints: %s', async (message, wish) => {
  expectInGuide(message, await complaintOf(wish()))
})

test.each([502, 503, 524, 429, 530])('the guide has what Nix makes of a status: %d', async (status) => {
  await using server = await openServer(
    (_request, response) => void response.writeHead(status).end(status === 530 ? 'error code: 1033' : ''),
  )
  const complaint = await complaintOf({ from: server.url })
  expectInGuide(`HTTP error ${status}`, complaint)
  if (status === 530) expectInGuide('error code: 1033', complaint)
})

test('the guide has what Nix makes of a page instead of a narinfo', async () => {
  await using server = await openServer((_request, response) => void response.end('<html>'))
  expectInGuide("NAR info file '….narinfo' is corrupt", await complaintOf({ from: server.url }))
})

test('the guide has what Nix prints when nobody listens', async () => {
  const { url } = await (async () => {
    await using server = await openServer(() => {})
    return server
  })()
  expectInGuide("Couldn't connect to server (7)", await complaintOf({ from: url }))
})

test('the guide has what Nix prints of another store directory', async () => {
  await using server = await openServer((_request, response) => void response.end('StoreDir: /other/store\n'))
  expectInGuide("… is for Nix stores with prefix '…', not '/nix/store'", await complaintOf({ from: server.url }))
})

test('the guide has what Nix makes of a cut, a stall, and changed bytes', async () => {
  const narInfo = (await cache.get(`/${closure.text.slice(11, 43)}.narinfo`)).body.toString()
  const plain = narInfo
    .replace(/^URL: .*$/m, 'URL: nar/x.nar')
    .replace(/^Compression: .*$/m, 'Compression: none')
    .replaceAll(/^File(?:Hash|Size): .*\n/gm, '')
  const nar = await store.dump(closure.text)
  let way: 'cut' | 'stall' | 'change' = 'cut'
  await using server = await openServer((request, response) => {
    if (request.url === '/nix-cache-info') return void response.end('StoreDir: /nix/store\n')
    if (request.url !== '/nar/x.nar') return void response.end(plain)
    const changed = Buffer.from(nar)
    changed[nar.indexOf('just')]! ^= 1
    response.writeHead(200, { 'content-length': nar.length, 'accept-ranges': 'bytes' })
    if (way === 'change') return void response.end(changed)
    response.write(nar.subarray(0, 50), () => {
      if (way === 'cut') response.destroy()
    })
  })
  const wish = { from: server.url, path: closure.text, options: { 'stalled-download-timeout': '1' } }
  expectInGuide(
    "HTTP error 200 ('OK') (curl error: Transferred a partial file); retrying from offset …",
    await complaintOf(wish),
  )
  way = 'stall'
  expectInGuide('curl error: Timeout was reached', await complaintOf(wish))
  way = 'change'
  expectInGuide("hash mismatch importing path '…'", await complaintOf(wish))
})
