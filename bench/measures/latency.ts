/**
 * How long a narinfo takes while the cache is busy with something large: 4 connections ask for narinfos, and the
 * slowest hundredth of the answers counts.
 */
import { Agent } from 'node:http'
import { type Cache, type Endpoint, inParallel, readBody, readLinks } from '../cache.ts'
import { startDownloads } from '../downloads.ts'
import { type Bench, interleave, type Measure, type Round } from '../measure.ts'
import { say } from '../progress.ts'
import { runWrk, type WrkResult } from '../wrk.ts'
import { narInfoPathsOf } from './narinfo.ts'
import { allNarsOf, toRequests } from './nars.ts'

const connections = 4

export const latencyWhileStreaming: Measure = {
  name: 'latency-streaming',
  what: 'narinfo p99 while all paths stream raw at 25 connections',
  unit: 'ms',
  target: { of: 'ratio', relation: '≤', value: 1 },
  hasReference: true,
  async run(bench) {
    const { reference, burrow } = await bench.raw()
    const seen = new Map<string, string>()
    const measure = async (cache: Cache): Promise<number> => {
      const downloads = startDownloads(cache, { connections: 25, passes: 0, requests: toRequests(allNarsOf(cache)) })
      const result = await runWrk(cache, { paths: narInfoPathsOf(cache), connections, seconds: bench.seconds }).finally(
        () => downloads.stop(),
      )
      const { bytes, seconds } = await downloads.stop()
      seen.set(
        cache.label,
        `${cache.label}: ${result.requestsPerSecond.toFixed(0)} narinfos/s (median ${result.p50Ms.toFixed(1)} ms), NARs ${(bytes / seconds / 1e6).toFixed(0)} MB/s beside it`,
      )
      return result.p99Ms
    }
    const rounds = await interleave(
      () => measure(reference),
      () => measure(burrow),
      bench,
    )
    return { rounds, notes: [`latency-streaming: ${[...seen.values()].join('; ')}`] }
  },
}

export const latencyWhileCompressing: Measure = {
  name: 'latency-compressing',
  what: 'narinfo p99 while 8 large NARs are compressed',
  unit: 'ms',
  target: { of: 'value', relation: '≤', value: 15 },
  hasReference: false,
  async run(bench) {
    const rounds: Round[] = []
    const notes: string[] = []
    for (let i = 0; i < bench.longRounds; i++) {
      await using burrow = await bench.fresh('burrow-compressing', { compression: 'zstd', larder: 'empty' })
      const result = await measureWhileCompressing(bench, burrow.endpoint)
      rounds.push({ reference: undefined, burrow: result.p99Ms })
      say(`  round ${i + 1}: p99 ${result.p99Ms.toFixed(1)} ms, ${result.requestsPerSecond.toFixed(0)} narinfos/s`)
      notes[0] = `latency-compressing: ${result.requestsPerSecond.toFixed(0)} narinfos/s, median ${result.p50Ms.toFixed(1)} ms, longest ${result.maxMs.toFixed(0)} ms`
    }
    return { rounds, notes }
  },
}

/** Eight compressions are kept going, the largest NARs first, for as long as the narinfos are asked for. */
async function measureWhileCompressing(bench: Bench, endpoint: Endpoint): Promise<WrkResult> {
  const large = bench.store.objects.filter((object) => object.narSize > 1e6).sort((a, b) => b.narSize - a.narSize)
  const links = await readLinks(endpoint, large)
  const agent = new Agent({ keepAlive: true, maxSockets: 8 })
  let asked = true
  let begun = 0
  const fetching = inParallel(links, 8, async (link) => {
    if (!asked) return
    begun++
    await readBody(endpoint, link.path, () => undefined, agent)
  })
  // A failure is reported below, after the narinfos.
  fetching.catch(() => undefined)
  const paths = bench.store.objects.map((object) => `${endpoint.prefix}/${object.hashPart}.narinfo`)
  const result = await runWrk(endpoint, { paths, connections, seconds: Math.min(bench.seconds, 3) })
  asked = false
  if (begun === links.length) say('  not enough large NARs: the compressions may have ended before the narinfos')
  await fetching
  agent.destroy()
  return result
}
