/** Narinfos over keep-alive connections: the requests that decide how fast a client finds out what to fetch. */
import { type Cache, narInfoPathOf } from '../cache.ts'
import { type Bench, interleave, type Measure } from '../measure.ts'
import { seededRandom, shuffled } from '../statistics.ts'
import { runWrk, type WrkResult } from '../wrk.ts'

export function narInfoPathsOf(cache: Cache): string[] {
  const paths = cache.links.map((link) => narInfoPathOf(cache, link.object))
  return shuffled(paths, seededRandom(1))
}

export const narInfoRate: Measure = {
  name: 'narinfo',
  what: 'narinfo requests/s, 32 keep-alive connections',
  unit: 'req/s',
  target: { of: 'ratio', relation: '≥', value: 0.65 },
  hasReference: true,
  async run(bench: Bench) {
    const { reference, burrow } = await bench.compressed()
    const last: { reference?: WrkResult; burrow?: WrkResult } = {}
    const measure = async (side: 'reference' | 'burrow', cache: Cache): Promise<number> => {
      const result = await runWrk(cache, { paths: narInfoPathsOf(cache), connections: 32, seconds: bench.seconds })
      last[side] = result
      return result.requestsPerSecond
    }
    const rounds = await interleave(
      () => measure('reference', reference),
      () => measure('burrow', burrow),
      bench,
    )
    return {
      rounds,
      notes: [`narinfo: processor time per request: nginx ${micros(last.reference)}, burrow ${micros(last.burrow)}`],
    }
  },
}

function micros(result: WrkResult | undefined): string {
  return `${result?.serverCpuMicros.toFixed(1)} us (busy ${((result?.serverBusy ?? 0) * 100).toFixed(0)} %)`
}
