/** All connections lost, again and again: cloudflared by itself sleeps ever longer, up to minutes, before it dials; the cache is not to be dark for that. */
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
