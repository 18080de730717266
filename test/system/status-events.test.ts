/**
 * The live status through the edge and a connector: each event arrives when it was sent, and a stop does not wait for
 * pages that are open. With BURROW_TEST_CLOUDFLARED=/path the connector is a real cloudflared.
 */
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { basic } from '../fixtures/cache.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { openTunnelled, type Tunnelled } from '../fixtures/tunnelled.ts'

const headers = { authorization: basic('ben', 'secret') }

let nix: NixFixture
let store: ScratchStore

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  await store.addFile('hello', 'hello')
})

afterAll(() => nix[Symbol.asyncDispose]())

async function untilConnected({ edge }: Tunnelled): Promise<void> {
  while ((await fetch(`${edge.url}/nix-cache-info`, { headers })).status !== 200) await setTimeout(200)
}

test('events pass the edge one by one, and a stop ends them at once', async () => {
  await using world = await openTunnelled(store, { mode: 'credentials', tunnel: { gracePeriod: '30s' } })
  await untilConnected(world)
  const response = await fetch(`${world.edge.url}/status/events`, { headers })
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  const decoder = new TextDecoder()
  const reader = response.body!.getReader()
  let seen = ''
  const readUntil = async (pattern: RegExp): Promise<void> => {
    while (!pattern.test(seen)) {
      const { done, value } = await reader.read()
      if (done) throw new Error(`The stream ended before ${pattern}:\n${seen}`)
      seen += decoder.decode(value, { stream: true })
    }
  }
  await readUntil(/data: [\s\S]*connected[\s\S]*\n\n/)
  // Requests are counted: the next event differs.
  seen = ''
  await fetch(`${world.edge.url}/nix-cache-info`, { headers })
  await readUntil(/data: [\s\S]*\n\n/)
  // Neither places nor processes of the machine are for users without admin access.
  expect(seen).not.toMatch(new RegExp(`${world.dir.path}|127\\.0\\.0\\.1|${store.root}`))

  const startedAt = performance.now()
  world.burrow.kill('SIGTERM')
  while (!(await reader.read().catch(() => ({ done: true }))).done);
  const { code } = await world.burrow.exited
  expect(code).toBe(0)
  expect(performance.now() - startedAt).toBeLessThan(15_000)
}, 120_000)
