/**
 * All connections lost, again and again: cloudflared by itself sleeps ever longer, up to minutes, before it dials; the
 * cache is not to be dark for that.
 */
import { expect, test } from '@jest/globals'

import { isRealConnector } from '../fixtures/connectors/binary.ts'
import { openNixFixture } from '../fixtures/nix.ts'
import { openTunnelled } from '../fixtures/tunnelled.ts'

/** The stand-in as slow as the real one. */
const extraArgs = isRealConnector ? [] : ['--stand-in-time-scale', '1']
const drops = isRealConnector ? 20 : 4
/** What is aimed at is 10 s; this leaves room for a machine that is busy with other things. */
const darkMs = 45_000

test('the tunnel is back soon after each of many losses in quick succession', async () => {
  await using nix = await openNixFixture()
  const store = await nix.openStore()
  await using world = await openTunnelled(store, { mode: 'credentials', extraArgs })
  await world.edge.connected(1)
  const gaps: number[] = []
  for (let drop = 1; drop <= drops; drop++) {
    const droppedAt = performance.now()
    const lost = world.edge.registrations.length
    world.edge.dropConnections()
    await world.edge.attempted(lost + 1)
    await world.edge.connected(1)
    gaps.push(Math.round(performance.now() - droppedAt))
  }
  if (process.env.BURROW_TEST_TIMES !== undefined) process.stderr.write(`${JSON.stringify(gaps)}\n`)
  expect(Math.max(...gaps)).toBeLessThan(darkMs)
}, 1_200_000)

test('a stop while the edge is away does not wait for the grace period', async () => {
  await using nix = await openNixFixture()
  const store = await nix.openStore()
  await using world = await openTunnelled(store, { mode: 'credentials', extraArgs, tunnel: { gracePeriod: '180s' } })
  await world.edge.connected(1)
  await world.burrow.logged(/^The tunnel is connected/)
  world.edge.refuseConnections()
  world.edge.dropConnections()
  await world.burrow.logged(/^The tunnel is reconnecting/)
  const toldAt = performance.now()
  world.burrow.kill('SIGTERM')
  expect(await world.burrow.exited).toEqual({ code: 0, signal: null })
  expect(performance.now() - toldAt).toBeLessThan(90_000)
}, 300_000)

test('the tunnel is back soon after the edge is', async () => {
  await using nix = await openNixFixture()
  const store = await nix.openStore()
  await using world = await openTunnelled(store, { mode: 'credentials', extraArgs })
  await world.edge.connected(1)
  await world.burrow.logged(/^The tunnel is connected/)
  world.edge.refuseConnections()
  world.edge.dropConnections()
  // A connector that is fresh, and knows of no edge.
  await world.burrow.logged(/^Unable to establish connection with Cloudflare edge/)
  const reachableAt = performance.now()
  await world.edge.acceptConnections()
  await world.edge.connected(1)
  const gap = Math.round(performance.now() - reachableAt)
  if (process.env.BURROW_TEST_TIMES !== undefined) process.stderr.write(`${gap}\n`)
  expect(gap).toBeLessThan(darkMs)
}, 300_000)
