/**
 * NARs in bulk: from the larder, and packed afresh. A whole number of passes over the same objects in the same order.
 */
import type { Cache, NarLink } from '../cache.ts'
import { type DownloadResult, runDownloads } from '../downloads.ts'
import { type Bench, interleave, type Measure, type Outcome, type Pair } from '../measure.ts'
import { seededRandom, shuffled } from '../statistics.ts'
import { runWrk } from '../wrk.ts'

/** All NARs in a fixed random order, the largest first, so that a pass does not end with one connection alone. */
export function allNarsOf(cache: Cache): readonly NarLink[] {
  const order = shuffled(cache.links, seededRandom(2))
  const largest = order.reduce((a, b) => (b.object.narSize > a.object.narSize ? b : a))
  return [largest, ...order.filter((link) => link !== largest)]
}

export function toRequests(links: readonly NarLink[]): { path: string; bytes: number }[] {
  return links.map(({ path, bytes }) => ({ path, bytes: bytes! }))
}

interface Bulk {
  readonly connections: number
  readonly passes: number
  pick(cache: Cache): readonly NarLink[]
}

async function measureBulk(bench: Bench, name: string, pair: Pair, bulk: Bulk): Promise<Outcome> {
  const last: { reference?: DownloadResult; burrow?: DownloadResult } = {}
  const measure = async (side: 'reference' | 'burrow'): Promise<number> => {
    const cache = pair[side]
    const load = { connections: bulk.connections, passes: bulk.passes, requests: toRequests(bulk.pick(cache)) }
    const result = await runDownloads(cache, load)
    last[side] = result
    return result.bytesPerSecond / 1e6
  }
  const rounds = await interleave(
    () => measure('reference'),
    () => measure('burrow'),
    bench,
  )
  return {
    rounds,
    notes: [`${name}: busy in the last round: ${busy('nginx', last.reference)}; ${busy('burrow', last.burrow)}`],
  }
}

function busy(label: string, result: DownloadResult | undefined): string {
  const percent = (share: number | undefined): string => `${((share ?? 0) * 100).toFixed(0)} %`
  return `${label} ${percent(result?.serverBusy)}, its client ${percent(result?.clientBusy)}`
}

export const larderNars: Measure = {
  name: 'larder-nars',
  what: 'larder NARs, all paths, 25 connections',
  unit: 'MB/s',
  target: { of: 'ratio', relation: '≥', value: 0.6 },
  hasReference: true,
  run: async (bench) =>
    measureBulk(bench, 'larder-nars', await bench.compressed(), { connections: 25, passes: 6, pick: allNarsOf }),
}

export const smallLarderNars: Measure = {
  name: 'small-nars',
  what: 'larder NARs ≤ 64 KB on the wire, 25 connections',
  unit: 'req/s',
  target: { of: 'ratio', relation: '≥', value: 0.55 },
  hasReference: true,
  async run(bench) {
    const { reference, burrow } = await bench.compressed()
    const measure = async (cache: Cache): Promise<number> => {
      const paths = allNarsOf(cache)
        .filter((link) => link.bytes! <= 64 << 10)
        .map((link) => link.path)
      return (await runWrk(cache, { paths, connections: 25, seconds: bench.seconds })).requestsPerSecond
    }
    const rounds = await interleave(
      () => measure(reference),
      () => measure(burrow),
      bench,
    )
    return { rounds }
  },
}

function rawHugeFile(connections: number, target: number): Measure {
  const name = `raw-500-${connections}`
  return {
    name,
    what: `raw NAR, one 500 MB file, ${connections} connection${connections === 1 ? '' : 's'}`,
    unit: 'MB/s',
    target: { of: 'ratio', relation: '≥', value: target },
    hasReference: true,
    async run(bench) {
      const pick = (cache: Cache): NarLink[] => cache.links.filter((link) => link.object.kind === 'huge-file')
      return measureBulk(bench, name, await bench.raw(), { connections, passes: connections === 1 ? 3 : 8, pick })
    },
  }
}

export const rawHugeFile1 = rawHugeFile(1, 0.65)
export const rawHugeFile4 = rawHugeFile(4, 1)

export const rawNars: Measure = {
  name: 'raw-nars',
  what: 'raw NARs, all paths, 25 connections',
  unit: 'MB/s',
  target: { of: 'ratio', relation: '≥', value: 0.3 },
  hasReference: true,
  run: async (bench) =>
    measureBulk(bench, 'raw-nars', await bench.raw(), { connections: 25, passes: 2, pick: allNarsOf }),
}
