/** `POST /v1/closure`: narinfos of a closure in one reply, and bases for deltas. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import {
  createFileBuffers,
  generateSecretKey,
  hashPartOf,
  openLocalStore,
  openUpstreamStore,
  parseNarInfo,
  silentLog,
} from '../../src/index.ts'
import type { ClosureLine } from '../../src/relay/protocol.ts'
import { basic, ben, benAuthorization, openTestCache, type TestCache } from '../fixtures/cache.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure
let cache: TestCache
let versions: string[]
const key = generateSecretKey('cache-1')

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  closure = await store.buildClosure()
  versions = []
  for (const version of ['tool-1.0', 'tool-1.1', 'tool-2.0', 'tool-dev-2.0'])
    versions.push(await store.addFile(version, Buffer.alloc(100_000, version)))
  versions.push(await store.addFile('tool-0.1', Buffer.alloc(1_000_000, 'much larger')))
  cache = await openTestCache(store, { signing: [key] })
})

afterAll(async () => {
  await cache[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

async function ask(body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return await fetch(`${cache.url}/v1/closure`, {
    method: 'POST',
    headers: { authorization: benAuthorization, 'accept-encoding': 'identity', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

const parseLines = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ClosureLine)

const pathsIn = (lines: readonly ClosureLine[]) =>
  lines.flatMap((line) => ('narInfo' in line ? [parseNarInfo(line.narInfo)!.storePath] : []))

describe('the closure', () => {
  test('comes with the root first, each path once, and is that of Nix', async () => {
    const lines = parseLines(await (await ask({ roots: [hashPartOf(closure.app)] })).text())
    const { stdout } = await store.nixStore(['--query', '--requisites', closure.app])
    expect(pathsIn(lines)[0]).toBe(closure.app)
    expect(pathsIn(lines).toSorted()).toEqual(stdout.trimEnd().split('\n').toSorted())
    expect(lines.at(-1)).toEqual({ end: { isWhole: true } })
  })

  test('has the very narinfos that are served alone', async () => {
    const [line] = parseLines(await (await ask({ roots: [hashPartOf(closure.lib)] })).text())
    const alone = await cache.get(`/${hashPartOf(closure.lib)}.narinfo`)
    expect(line).toEqual({ narInfo: alone.body.toString() })
  })

  test('names roots that are absent', async () => {
    const absent = '0'.repeat(32)
    const lines = parseLines(await (await ask({ roots: [absent, hashPartOf(closure.text)] })).text())
    expect(lines).toEqual([{ absent }, { narInfo: expect.any(String) }, { end: { isWhole: true } }])
  })

  test('is compressed for those who take that', async () => {
    const { request } = await import('node:http')
    const body = JSON.stringify({ roots: [hashPartOf(closure.app)] })
    const { headers, bytes } = await new Promise<{ headers: object; bytes: Buffer }>((resolve, reject) => {
      request(
        `${cache.url}/v1/closure`,
        { method: 'POST', headers: { authorization: benAuthorization, 'accept-encoding': 'gzip' } },
        (reply) => {
          const chunks: Buffer[] = []
          reply.on('data', (chunk: Buffer) => chunks.push(chunk))
          reply.on('end', () => resolve({ headers: reply.headers, bytes: Buffer.concat(chunks) }))
        },
      )
        .on('error', reject)
        .end(body)
    })
    expect(headers).toMatchObject({ 'content-encoding': 'gzip', 'cache-control': 'private, no-transform' })
    expect(pathsIn(parseLines(gunzipSync(bytes).toString()))).toContain(closure.base)
  })
})

describe('bases', () => {
  const basesOf = async (path: string) => {
    const [line] = parseLines(await (await ask({ roots: [hashPartOf(path)], bases: true })).text())
    return line !== undefined && 'narInfo' in line ? (line.bases ?? []) : []
  }

  test('are other versions of the same name and output, the latest first, of a like size', async () => {
    const [oldest, middle, newest] = versions as [string, string, string]
    expect((await basesOf(newest)).map(({ hashPart }) => hashPart)).toEqual([hashPartOf(middle), hashPartOf(oldest)])
    expect((await basesOf(middle)).map(({ hashPart }) => hashPart)).toEqual([hashPartOf(newest), hashPartOf(oldest)])
    expect(await basesOf(versions[4]!)).toEqual([])
  })

  test('a path that was added meanwhile is one, and one that was deleted is not', async () => {
    const added = await store.addFile('tool-1.2', Buffer.alloc(100_000, 'tool-1.2'))
    expect((await basesOf(versions[0]!)).map(({ hashPart }) => hashPart)).toContain(hashPartOf(added))
    await store.nixStore(['--delete', added])
    expect((await basesOf(versions[0]!)).map(({ hashPart }) => hashPart)).not.toContain(hashPartOf(added))
  })
})

describe('what is refused', () => {
  test.each([
    ['no JSON', 'roots'],
    ['no roots', { roots: [] }],
    ['too many roots', { roots: Array(65).fill('0'.repeat(32)) }],
    ['a root that is no hash part', { roots: ['../../etc/passwd'] }],
    ['a body beyond all measure', 'x'.repeat(100_000)],
  ])('%s: 400', async (_what, body) => {
    const answer = await ask(body)
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([400, 'no-store'])
  })

  test('a stranger gets the same 401 for what is here and what is not', async () => {
    const replies = await Promise.all(
      [hashPartOf(closure.app), '0'.repeat(32)].map(async (root) => {
        const answer = await ask({ roots: [root] }, { authorization: basic('eve', 'guess') })
        return [answer.status, await answer.text()]
      }),
    )
    expect(replies[0]).toEqual(replies[1])
    expect(replies[0]![0]).toBe(401)
  })

  test('a user who may only push asks in vain', async () => {
    await using other = await openTestCache(store, {
      signing: [key],
      users: [{ ...ben, access: new Set(['push']) }],
    })
    const answer = await fetch(`${other.url}/v1/closure`, {
      method: 'POST',
      headers: { authorization: benAuthorization },
      body: JSON.stringify({ roots: [hashPartOf(closure.app)] }),
    })
    expect(answer.status).toBe(403)
  })
})

test('what only an upstream may have is not waited for, but for the roots', async () => {
  const asked: string[] = []
  const slow = createServer((request, response) => {
    asked.push(request.url!)
    setTimeout(() => response.writeHead(404).end(), 300)
  })
  await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve))
  await using upstream = openUpstreamStore({
    url: new URL(`http://127.0.0.1:${(slow.address() as AddressInfo).port}`),
    authorization: undefined,
    publicKeys: [key.publicKey],
    storeDir: '/nix/store',
    spoolDir: await nix.makeDir('spool'),
    keep: undefined,
    ...createFileBuffers(),
    decompressors: {},
    version: '0',
    log: silentLog,
    now: () => performance.now(),
  })
  const local = await openLocalStore({
    ...store,
    daemonSocket: undefined,
    leases: { narInfoSeconds: 0, maxPaths: 10 },
    log: silentLog,
  })
  await using stores = local
  await using other = await openTestCache(store, { signing: [key], stores: [stores, upstream] })
  const absent = '1'.repeat(32)
  const answer = await fetch(`${other.url}/v1/closure`, {
    method: 'POST',
    headers: { authorization: benAuthorization, 'accept-encoding': 'identity' },
    body: JSON.stringify({ roots: [absent, hashPartOf(closure.app)] }),
  })
  const lines = parseLines(await answer.text())
  expect(pathsIn(lines)).toContain(closure.base)
  expect(lines[0]).not.toEqual({ absent })
  expect(lines).toContainEqual({ absent })
  expect(asked).toEqual([`/${absent}.narinfo`])
  slow.close()
})
