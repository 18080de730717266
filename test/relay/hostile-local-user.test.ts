/** A program on this machine that wants more from the relay's login than a binary cache has. */
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { NarSpool, PushedFiles, silentLog, UploadHandler } from '../../src/index.ts'
import { type NixFixture, openNixFixture } from '../fixtures/nix.ts'
import { openTestRelay } from './test-relay.ts'

let nix: NixFixture
const asked: string[] = []
const far = createServer((request, response) => {
  asked.push(request.url!)
  response.end('far')
})

beforeAll(async () => {
  nix = await openNixFixture()
  await once(far.listen(0, '127.0.0.1'), 'listening')
})

afterAll(async () => {
  far.close()
  far.closeAllConnections()
  await nix[Symbol.asyncDispose]()
})

/** `fetch` would resolve the dots itself. */
async function send(port: number, method: 'GET' | 'PUT', path: string): Promise<number> {
  const sent = request({ port, host: '127.0.0.1', method, path, agent: false })
  sent.end(method === 'PUT' ? 'x' : undefined)
  const [reply] = await once(sent, 'response')
  reply.resume()
  return reply.statusCode
}

async function openUploads() {
  const dir = await nix.makeDir('uploads')
  const forwarded: string[] = []
  const handler = new UploadHandler({
    spool: await NarSpool.open(dir, {}),
    pushed: await PushedFiles.open(`${dir}/pushed`),
    storeDir: '/nix/store',
    push: async () => {},
    async forward(path) {
      forwarded.push(path)
      return { status: 201, text: '' }
    },
    log: silentLog,
  })
  return {
    forwarded,
    uploads: {
      handle: handler.handle.bind(handler),
      hasNar: handler.hasNar.bind(handler),
      findPushed: handler.findPushed.bind(handler),
    },
  }
}

describe('dots in a path lead nowhere', () => {
  test.each(['/log/..', '/log/../metrics', '/debuginfo/./x', '/realisations/x/..'])('GET %s', async (path) => {
    await using near = await openTestRelay(`http://127.0.0.1:${(far.address() as AddressInfo).port}`)
    expect(await send(near.port, 'GET', '/log/x.drv')).toBe(200)
    asked.length = 0
    expect(await send(near.port, 'GET', path)).toBe(404)
    expect(asked.filter((url) => url !== '/nix-cache-info')).toEqual([])
  })

  test.each(['/log/../v1/users/x', '/realisations/../v1', '/nix-cache-info/../v1/x'])('PUT %s', async (path) => {
    const { forwarded, uploads } = await openUploads()
    await using near = await openTestRelay(`http://127.0.0.1:${(far.address() as AddressInfo).port}`, { uploads })
    expect(await send(near.port, 'PUT', '/realisations/sha256:abc!out.doi')).toBe(201)
    expect(await send(near.port, 'PUT', path)).toBe(405)
    expect(forwarded).toEqual(['realisations/sha256:abc!out.doi'])
  })
})
