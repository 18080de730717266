/**
 * The server is killed in the middle of a compression: nothing half made is ever served, and the download goes on where
 * it broke.
 */
import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { zstdDecompressSync } from 'node:zlib'

import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { type Served, serve, writeConfig } from '../appliance/burrow.ts'
import { createScratchDir } from '../appliance/scratch-dir.ts'
import { benAuthorization, get } from '../fixtures/cache.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'

let nix: NixFixture
let store: ScratchStore
let path: string

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  path = await store.addFile('incompressible', randomBytes(60_000_000))
})

afterAll(() => nix[Symbol.asyncDispose]())

test('a download broken by kill -9 of the server is resumed from its successor, byte for byte', async () => {
  await using dir = await createScratchDir()
  const larder = dir.file('larder')
  await writeConfig(dir, {
    users: ['ben:secret'],
    store: { realDir: store.realStoreDir, daemonSocket: null },
    larder: { dir: larder },
  })

  const received: Buffer[] = []
  let url: string
  {
    await using served = await serve(dir)
    const narInfo = await get(portOf(served), `/${path.slice(11, 43)}.narinfo`)
    url = `/${/^URL: (.+)$/m.exec(narInfo.body.toString())![1]}`
    const response = await open(served, url)
    const broken = new Promise((resolve) => response.once('close', resolve))
    response.on('error', () => {})
    response.on('data', (chunk: Buffer) => {
      received.push(chunk)
      served.kill('SIGKILL')
    })
    await broken
    await served.exited
  }
  const start = Buffer.concat(received).length
  expect(start).toBeGreaterThan(0)
  expect(start).toBeLessThan(60_000_000)
  const kept = (await readdir(larder)).filter((name) => !name.startsWith('tmp-') && name.includes('zstd'))
  expect(kept).toEqual([])

  await using served = await serve(dir)
  const rest = await get(portOf(served), url, { headers: { range: `bytes=${start}-` } })
  expect(rest.status).toBe(206)
  const nar = zstdDecompressSync(Buffer.concat([...received, rest.body]))
  expect(nar.equals(await store.dump(path))).toBe(true)
})

const portOf = ({ url }: Served) => Number(new URL(url).port)

function open(served: Served, path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request(
      { host: '127.0.0.1', port: portOf(served), path, agent: false, headers: { authorization: benAuthorization } },
      resolve,
    )
      .once('error', reject)
      .end()
  })
}
