/** What the near end takes from a laptop: the time until it is there, and memory while nothing is asked of it. */
import { setTimeout as sleep } from 'node:timers/promises'

import { readBody, readLinks } from '../cache.ts'
import { memoryOf, peakMemoryOf } from '../children.ts'
import type { Bench, Measure, Round } from '../measure.ts'
import { say } from '../progress.ts'
import { makeClientProgram, openRelay } from '../relay-program.ts'

/** The relay gives memory back 75 s after the last request. */
const idleMs = 80_000

export const relayStartUp: Measure = {
  name: 'relay-start-up',
  what: 'burrow relay, in one file: start to first narinfo',
  unit: 's',
  target: { of: 'value', relation: '≤', value: 0.5 },
  hasReference: false,
  async run(bench) {
    await makeClientProgram()
    const rounds: Round[] = []
    for (let i = 0; i <= bench.rounds; i++) {
      await using relay = await open(bench)
      if (i > 0) rounds.push({ reference: undefined, burrow: relay.secondsToFirstAnswer })
    }
    return { rounds }
  },
}

export const relayMemory: Measure = {
  name: 'relay-memory',
  what: 'burrow relay, in one file: RSS when idle, as its socket starts it',
  unit: 'MiB',
  target: { of: 'value', relation: '≤', value: 80 },
  hasReference: false,
  async run(bench) {
    await makeClientProgram()
    await using relay = await open(bench)
    const { endpoint } = relay
    await sleep(2_000)
    const fresh = memoryOf(endpoint.pid)
    const links = await readLinks(endpoint, bench.store.objects)
    for (const { path } of links.slice(0, 100)) await readBody(endpoint, path, () => {})
    await sleep(idleMs)
    const idle = memoryOf(endpoint.pid)
    say(
      `  relay: ${fresh.toFixed(0)} MiB fresh, ${peakMemoryOf(endpoint.pid).toFixed(0)} MiB at most, ${idle.toFixed(0)} MiB idle`,
    )
    return {
      rounds: [{ reference: undefined, burrow: fresh }],
      notes: [
        `relay-memory: ${peakMemoryOf(endpoint.pid).toFixed(0)} MiB at most, ${idle.toFixed(0)} MiB ${idleMs / 1000} s after the narinfos of the closure and 100 NARs; as a service it exits then (--exit-idle), and takes nothing`,
      ],
    }
  },
}

async function open(bench: Bench) {
  const { burrow } = await bench.compressed()
  return await openRelay(burrow, `/${bench.store.root.hashPart}.narinfo`)
}
