/** kill -9 in the middle of a download: of the relay, and of the far end. Nix gets the right bytes. */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'

import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { openShapingProxy } from '../../../bench/shaping-proxy.ts'
import { serveBurrow } from '../../appliance/burrow.ts'
import { createScratchDir } from '../../appliance/scratch-dir.ts'
import { basic } from '../../fixtures/cache.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import { startRelay } from './relay-program.ts'

let nix: NixFixture
let store: ScratchStore
let big: string

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  big = await store.addFile('big', randomBytes(12_000_000))
})

afterAll(() => nix[Symbol.asyncDispose]())

/** Slow enough to be killed in the middle. */
const slow = { bitsPerSecond: 24_000_000, roundTripMs: 2 }

async function openFarEnd() {
  const dir = await createScratchDir()
  const config = {
    listen: '127.0.0.1:0',
    users: ['ben:secret'],
    store: { realDir: store.realStoreDir, daemonSocket: null },
    state: { dir: dir.file('state') },
    larder: { dir: dir.file('larder') },
    tunnel: 'off',
  }
  await writeFile(dir.file('burrow.json'), JSON.stringify(config), { mode: 0o600 })
  return {
    start: () => serveBurrow([], { cwd: dir.path }),
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  }
}

async function readPublicKey(url: string): Promise<string> {
  const reply = await fetch(`${url}/v1/public-key`, { headers: { authorization: basic('ben', 'secret') } })
  return (await reply.text()).trim()
}

const untilReceived = async (status: () => Promise<{ bytes: { received: number } }>, bytes: number) => {
  while ((await status()).bytes.received < bytes) await new Promise((resolve) => setTimeout(resolve, 50))
}

test('a relay that is killed and started again: Nix goes on where it was', async () => {
  await using farEnd = await openFarEnd()
  await using burrow = await farEnd.start()
  await using line = await openShapingProxy(Number(new URL(burrow.url).port), slow)
  const key = await readPublicKey(burrow.url)
  const first = await startRelay(nix, { to: `http://127.0.0.1:${line.port}`, user: 'ben' })
  const to = await nix.openStore()
  const copying = nix.copy({ from: first.url, to, paths: [big], trustedPublicKeys: [key] })
  copying.catch(() => {})
  await untilReceived(first.status, 4_000_000)
  first.kill('SIGKILL')
  await first.exited
  await using second = await startRelay(nix, { to: `http://127.0.0.1:${line.port}`, user: 'ben', port: first.port })
  await copying
  expect((await to.dump(big)).equals(await store.dump(big))).toBe(true)
  expect((await second.status()).nars).toMatchObject({ sent: 1, failed: 0 })
})

test('a far end that is killed and started again elsewhere: the relay goes on, and Nix notices nothing', async () => {
  await using farEnd = await openFarEnd()
  const first = await farEnd.start()
  const key = await readPublicKey(first.url)
  let target = Number(new URL(first.url).port)
  await using line = await openShapingProxy(() => target, slow)
  await using relay = await startRelay(nix, { to: `http://127.0.0.1:${line.port}`, user: 'ben' })
  const to = await nix.openStore()
  const copying = nix.copy({ from: relay.url, to, paths: [big], trustedPublicKeys: [key] })
  copying.catch(() => {})
  await untilReceived(relay.status, 4_000_000)
  first.kill('SIGKILL')
  await first.exited
  await using second = await farEnd.start()
  target = Number(new URL(second.url).port)
  const { stderr } = await copying
  expect(stderr).not.toMatch(/retrying|error/)
  expect((await to.dump(big)).equals(await store.dump(big))).toBe(true)
  expect((await relay.status()).nars).toMatchObject({ sent: 1, failed: 0 })
})
