/**
 * A closure through the edge and a connector whose connections are dropped all the time, by real Nix through the relay.
 * With BURROW_TEST_CLOUDFLARED=/path the connector is a real cloudflared; BURROW_TEST_RELAY_MB sets the size.
 */
import { randomBytes } from 'node:crypto'

import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { basic } from '../../fixtures/cache.ts'
import { isRealConnector } from '../../fixtures/connectors/binary.ts'
import { hasNewerNix, runNewerNix, sayThatItIsSkipped } from '../../fixtures/newer-nix.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import { openTunnelled, type Tunnelled } from '../../fixtures/tunnelled.ts'
import { startRelay } from './relay-program.ts'

const megabytes = Number(process.env.BURROW_TEST_RELAY_MB ?? 60)
const pieceBytes = 20_000_000
const dropEveryMs = Number(process.env.BURROW_TEST_RELAY_DROP_MS ?? 1_500)

let nix: NixFixture
let store: ScratchStore
let paths: string[]

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  paths = [(await store.buildClosure()).app]
  for (let left = megabytes * 1_000_000; left > 0; left -= pieceBytes)
    paths.push(await store.addFile(`piece-${left}`, randomBytes(Math.min(left, pieceBytes))))
}, 600_000)

afterAll(() => nix[Symbol.asyncDispose]())

async function readKey(world: Tunnelled): Promise<string> {
  for (;;) {
    const answer = await fetch(`${world.edge.url}/v1/public-key`, {
      headers: { authorization: basic('ben', 'secret') },
    })
    if (answer.status === 200) return (await answer.text()).trim()
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

test('all of it arrives, and next to nothing of it twice', async () => {
  await using world = await openTunnelled(store, { mode: 'credentials' })
  await world.edge.connected(1)
  const key = await readKey(world)
  await using relay = await startRelay(nix, { to: world.edge.url, user: 'ben' })
  const to = await nix.openStore()
  const dropping = setInterval(() => world.edge.dropConnections(), dropEveryMs)
  try {
    await nix.copy({ from: relay.url, to, paths, trustedPublicKeys: [key] })
  } finally {
    clearInterval(dropping)
  }
  for (const path of paths) expect((await to.dump(path)).equals(await store.dump(path))).toBe(true)
  const { bytes, nars } = await relay.status()
  expect(nars.failed).toBe(0)
  if (process.env.BURROW_TEST_TIMES !== undefined)
    process.stderr.write(`${JSON.stringify({ bytes, nars, share: bytes.received / (megabytes * 1_000_000) })}\n`)
  expect(bytes.received).toBeLessThan(megabytes * 1_000_000 * 1.01 + 200_000)

  if (!hasNewerNix) return sayThatItIsSkipped()
  const again = setInterval(() => world.edge.dropConnections(), dropEveryMs)
  try {
    const { stdout } = await runNewerNix(
      nix,
      `nix copy --from '${relay.url}' --to $d/store --option trusted-public-keys '${key}' ${paths.join(' ')} && echo copied`,
    )
    expect(stdout).toContain('copied')
  } finally {
    clearInterval(again)
  }
}, 1_800_000)

test('stock Nix without the relay fails on the same line', async () => {
  if (!isRealConnector) return void process.stderr.write('skipped: that takes a real cloudflared\n')
  await using world = await openTunnelled(store, { mode: 'credentials' })
  await world.edge.connected(1)
  const key = await readKey(world)
  const to = await nix.openStore()
  const netrc = await nix.writeNetrc([{ login: 'ben', password: 'secret' }])
  const dropping = setInterval(() => world.edge.dropConnections(), dropEveryMs)
  try {
    const { code, stderr } = await nix.copy({
      from: world.edge.url,
      to,
      paths,
      netrc,
      trustedPublicKeys: [key],
      allowFailure: true,
    })
    expect([code === 0, stderr]).toEqual([false, expect.stringMatching(/530|partial file|HTTP error/)])
  } finally {
    clearInterval(dropping)
  }
}, 1_800_000)
