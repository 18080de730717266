/**
 * Pushing through the edge and a connector, both processes on this machine: past the edge's limit on bodies, over
 * connections that drop, and what stock Nix says where it cannot do that. With BURROW_TEST_CLOUDFLARED=/path the
 * connector is a real cloudflared.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { basic } from '../../fixtures/cache.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import { as } from '../../fixtures/push-cache.ts'
import { openTunnelled, type Tunnelled } from '../../fixtures/tunnelled.ts'
import { startRelay } from '../relay/relay-program.ts'

const main = fileURLToPath(new URL('../../../appliance/program.ts', import.meta.url))
const users = [
  { name: 'ci', password: 'secret', access: ['pull', 'push'] },
  { name: 'ben', password: 'secret' },
]
/** Above what the edge lets through in one body. */
const bigBytes = 130_000_000

let nix: NixFixture
let store: ScratchStore
let empty: ScratchStore
let big: string

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  empty = await nix.openStore()
  big = await store.addFile('big', randomBytes(bigBytes))
  await writeFile(join(nix.dir, 'password'), 'secret\n', { mode: 0o600 })
})

afterAll(() => nix[Symbol.asyncDispose]())

const openWorld = () => openTunnelled(empty, { mode: 'credentials', config: { users, push: { upstreamKeys: [] } } })

async function untilConnected(world: Tunnelled): Promise<void> {
  while (
    (await fetch(`${world.edge.url}/nix-cache-info`, { headers: { authorization: basic('ci', 'secret') } })).status !==
    200
  ) {
    await setTimeout(200)
  }
}

async function push(url: string, ...flags: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const env = {
    PATH: process.env.PATH!,
    HOME: nix.dir,
    NIX_STATE_DIR: store.stateDir,
    BURROW_REAL_STORE_DIR: store.realStoreDir,
    BURROW_USER: 'ci',
    BURROW_PASSWORD_FILE: join(nix.dir, 'password'),
  }
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', main, 'push', '--to', url, ...flags, big],
    {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code: code as number | null, stdout, stderr }
}

test('burrow push brings a NAR that is larger than any body the edge lets through, while connections drop, and real Nix takes it from there', async () => {
  await using world = await openWorld()
  await untilConnected(world)
  const pushing = push(world.edge.url)
  const dropping = setInterval(() => world.edge.dropConnections(1), 1500)
  const { code, stdout, stderr } = await pushing.finally(() => clearInterval(dropping))
  expect([code, stdout, stderr]).toEqual([0, expect.stringMatching(/1 pushed/), expect.anything()])
  const to = await nix.openStore()
  const { args, env } = await as(nix, 'ben')
  // The last drop may have left no connection: the edge says 530 until there is one again.
  const askKey = () => fetch(`${world.edge.url}/v1/public-key`, { headers: { authorization: basic('ben', 'secret') } })
  let answer = await askKey()
  for (let tries = 0; answer.status === 530 && tries < 120; tries++) {
    await setTimeout(500)
    answer = await askKey()
  }
  expect(answer.status).toBe(200)
  const key = await answer.text()
  await nix.run(
    'nix',
    ['copy', '--from', world.edge.url, '--to', to.root, '--option', 'trusted-public-keys', key.trim(), ...args, big],
    { env },
  )
  expect((await to.dump(big)).equals(await store.dump(big))).toBe(true)
})

test("stock Nix stops at the edge's 413, and nothing of the path is left", async () => {
  await using world = await openWorld()
  await untilConnected(world)
  const { args, env } = await as(nix, 'ci')
  const url = `${world.edge.url}?compression=none`
  const { code, stderr } = await nix.run(
    'nix',
    ['copy', '--no-check-sigs', '--from', store.root, '--to', url, ...args, big],
    { env, allowFailure: true },
  )
  expect(code).not.toBe(0)
  expect(stderr).toMatch(/413/)
  const answer = await fetch(`${world.edge.url}/${big.slice(11, 43)}.narinfo`, {
    headers: { authorization: basic('ben', 'secret') },
  })
  expect(answer.status).toBe(404)
})

test('stock Nix pushes through a relay what the edge would refuse, over connections that drop', async () => {
  await using world = await openWorld()
  await untilConnected(world)
  await using relay = await startRelay(nix, { to: world.edge.url })
  const dropping = setInterval(() => world.edge.dropConnections(1), 1500)
  try {
    const url = `${relay.url}?compression=zstd`
    await nix.run('nix', ['copy', '--no-check-sigs', '--from', store.root, '--to', url, big])
  } finally {
    clearInterval(dropping)
  }
  const to = await nix.openStore()
  await nix.run('nix', ['copy', '--no-check-sigs', '--from', relay.url, '--to', to.root, big])
  expect((await to.dump(big)).equals(await store.dump(big))).toBe(true)
})
