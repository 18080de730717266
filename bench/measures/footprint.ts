/** What Burrow takes from its machine: memory with very many slow clients, and the time until it is there. */
import { setTimeout as sleep } from 'node:timers/promises'
import { openBurrow } from '../burrow.ts'
import { readLinks } from '../cache.ts'
import { peakMemoryOf } from '../children.ts'
import type { Bench, Measure, Round } from '../measure.ts'
import { say } from '../progress.ts'
import { startSlowReaders } from '../slow-readers.ts'
import { openCrowdedDatabase } from '../store.ts'
import { warmLarderDir } from '../work-dir.ts'

const readers = 200

export const slowReaders: Measure = {
  name: 'slow-readers',
  what: `peak RSS, ${readers} slow readers of the 500 MB path (the worse of raw and larder)`,
  unit: 'MiB',
  target: { of: 'value', relation: '≤', value: 250 },
  hasReference: false,
  async run(bench) {
    const raw = await measurePeak(bench, 'none')
    const larder = await measurePeak(bench, 'zstd')
    return {
      rounds: [{ reference: undefined, burrow: Math.max(raw, larder) }],
      notes: [`slow-readers: raw ${raw.toFixed(0)} MiB, from the larder ${larder.toFixed(0)} MiB`],
    }
  },
}

async function measurePeak(bench: Bench, compression: 'zstd' | 'none'): Promise<number> {
  await using burrow = await bench.fresh(`burrow-slow-${compression}`, { compression, larder: 'warm' })
  const [link] = await readLinks(burrow.endpoint, [bench.store.hugeFile])
  const before = peakMemoryOf(burrow.endpoint.pid)
  const running = startSlowReaders(burrow.endpoint, link!.path, readers)
  try {
    await sleep(bench.seconds * 2_500)
    const { answered, closed, bytes } = running.progress()
    const peak = peakMemoryOf(burrow.endpoint.pid)
    say(
      `  ${compression}: ${before.toFixed(0)} MiB before, ${peak.toFixed(0)} MiB with ${answered} readers who took ${(bytes / 1e6).toFixed(0)} MB`,
    )
    if (answered < readers || closed > 0)
      throw new Error(`Cannot measure slow readers: of ${readers}, ${answered} had an answer and ${closed} were cut`)
    return peak
  } finally {
    running.stop()
  }
}

export const startUp: Measure = {
  name: 'start-up',
  what: 'start to first answer, 100,000-path database',
  unit: 's',
  target: { of: 'value', relation: '≤', value: 1 },
  hasReference: false,
  async run(bench) {
    const store = await openCrowdedDatabase()
    const rounds: Round[] = []
    for (let i = 0; i <= bench.rounds; i++) {
      const settings = {
        label: 'burrow-crowded',
        store,
        key: bench.key,
        compression: 'zstd',
        larderDir: warmLarderDir,
        firstHashPart: store.hashPart,
        profile: false,
      } as const
      await using burrow = await openBurrow(settings)
      if (i > 0) rounds.push({ reference: undefined, burrow: burrow.secondsToFirstAnswer })
    }
    return { rounds }
  },
}
