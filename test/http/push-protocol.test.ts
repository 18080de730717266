/** What a plan must look like: the shape of a path is looked at before anything it says. */
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { basic } from '../fixtures/cache.ts'
import { type NixFixture, openNixFixture } from '../fixtures/nix.ts'
import { openPushCache, type PushCache } from '../fixtures/push-cache.ts'
import { sendRaw, statusesOf } from '../fixtures/raw-http.ts'

const path = {
  storePath: `/nix/store/${'0'.repeat(32)}-app`,
  narHash: `sha256:${'0'.repeat(52)}`,
  narSize: 400,
  references: [],
  signatures: [],
}
let nix: NixFixture
let cache: PushCache

beforeAll(async () => {
  nix = await openNixFixture()
  cache = await openPushCache(nix)
})
afterAll(async () => {
  await cache[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

function plan(body: unknown): Promise<Response> {
  const headers = { authorization: basic('ci', 'secret'), 'content-type': 'application/json' }
  return fetch(`${cache.url}/v1/push/plan`, { method: 'POST', headers, body: JSON.stringify(body) })
}

const planOf = (...paths: readonly unknown[]) => plan({ partBytes: 2 ** 20, paths })

test('a path that is not here is to be uploaded', async () => {
  const reply = await planOf(path, { ...path, ca: `fixed:r:${path.narHash}` })
  expect(reply.status).toBe(200)
  expect((await reply.json()) as object).toMatchObject({ paths: [{ storePath: path.storePath, status: 'upload' }, {}] })
})

test('2,000 paths are taken at once, and no more', async () => {
  expect((await planOf(...Array(2000).fill(path))).status).toBe(200)
  expect((await planOf(...Array(2001).fill(path))).status).toBe(400)
})

test.each([
  ['no object', 7],
  ['null', null],
  ['no hash', { ...path, narHash: 'sha256:x' }],
  ['a size in words', { ...path, narSize: '400' }],
  ['references of another kind', { ...path, references: [1] }],
  ['no references', { ...path, references: undefined }],
])('%s is no path', async (_what, value) => {
  const reply = await planOf(value)
  expect(reply.status).toBe(400)
  expect(((await reply.json()) as { error: string }).error).toContain('Invalid request: paths/0')
})

test('a content address that is none is refused with a reason', async () => {
  const reply = await planOf({ ...path, ca: 'x' })
  expect(reply.status).toBe(200)
  expect((await reply.json()) as object).toMatchObject({
    paths: [{ status: 'refused', reason: expect.stringContaining('content address') }],
  })
})

test.each([
  ['nothing', undefined],
  ['a list', []],
  ['parts of another size', { partBytes: 7, paths: [path] }],
])('%s is no plan', async (_what, value) => {
  expect((await plan(value)).status).toBe(400)
})

test.each(['/v1/forget', '/v1/forget?x', '/v1/forget#x', 'http://x/v1/forget', '/v1/forget?'])(
  'POST %s is for administrators alone',
  async (target) => {
    const send = (user: string) =>
      sendRaw(
        cache.cache.port,
        `POST ${target} HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic(user, 'secret')}\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}`,
      )
    for (const user of ['ci', 'bot', 'ben']) expect(statusesOf(await send(user))).toEqual([403])
    expect(statusesOf(await send('ana'))).toEqual([400])
  },
)
