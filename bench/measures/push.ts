/**
 * Pushing: the closure of the bench into an empty depot, on loopback and on a slow line; many small paths; nothing to
 * push; a line that breaks.
 */
import { type Bench, interleave, type Measure } from '../measure.ts'
import type { Shape } from '../shaping-proxy.ts'
import { copyToCache, copyToFolder, overLine, push, pushMeasured, withEmptyDepot } from './push-runs.ts'

const homeLine: Shape = { bitsPerSecond: 20_000_000, roundTripMs: 60 }
const distantLine: Shape = { bitsPerSecond: 1_000_000_000, roundTripMs: 60 }

export const pushClosure: Measure = {
  name: 'push-closure',
  what: 'burrow push of the closure to an empty depot, against nix copy --to file://, which does not check anything',
  unit: 's',
  target: { of: 'ratio', relation: '≤', value: 2 },
  hasReference: false,
  run: (bench) => pushClosureBeside(bench, () => copyToFolder(bench)),
}

export const pushAgainstStockNix: Measure = {
  name: 'push-stock',
  what: 'burrow push of the closure to an empty depot, against nix copy --to http://… to the same cache',
  unit: 's',
  target: { of: 'ratio', relation: '≤', value: 1 },
  hasReference: false,
  run: (bench) => pushClosureBeside(bench, () => withEmptyDepot(bench, (burrow) => copyToCache(bench, burrow))),
}

export const pushSmall: Measure = {
  name: 'push-small',
  what: 'burrow push of 949 small paths over a line with 60 ms',
  unit: 's',
  target: { of: 'value', relation: '≤', value: 5 },
  hasReference: false,
  async run(bench) {
    const paths = smallPaths(bench, 949)
    return {
      rounds: await repeat(bench, () =>
        withEmptyDepot(bench, (burrow) =>
          overLine(burrow, distantLine, ({ port }) => push(bench, port, paths, ['--no-closure'])),
        ),
      ),
    }
  },
}

export const pushNothing: Measure = {
  name: 'push-nothing',
  what: 'burrow push of 1,400 paths that the cache already has, over a line with 60 ms',
  unit: 's',
  target: { of: 'value', relation: '≤', value: 0.5 },
  hasReference: false,
  async run(bench) {
    return {
      rounds: await withEmptyDepot(bench, async (burrow) => {
        await push(bench, burrow.endpoint.port, [bench.store.root.storePath])
        return await repeat(bench, () =>
          overLine(burrow, distantLine, ({ port }) => push(bench, port, [bench.store.root.storePath])),
        )
      }),
    }
  },
}

export const pushHomeLine: Measure = {
  name: 'push-home-line',
  what: 'burrow push of about 120 MB of NARs over 20 Mbit/s and 60 ms, against the time that the line needs for the bytes sent',
  unit: 's',
  target: { of: 'ratio', relation: '≤', value: 1.1 },
  hasReference: false,
  async run(bench) {
    const paths = middlePaths(bench, 120_000_000)
    const rounds = []
    for (let round = 0; round < bench.longRounds; round++) {
      const { seconds, wireBytes } = await withEmptyDepot(bench, (burrow) =>
        overLine(
          burrow,
          homeLine,
          async ({ port }) => await pushMeasured(bench, port, paths, ['--no-closure', '--level', '3']),
        ),
      )
      rounds.push({ reference: (wireBytes * 8) / homeLine.bitsPerSecond, burrow: seconds })
    }
    return { rounds }
  },
}

export const pushCuts: Measure = {
  name: 'push-cuts',
  what: 'bytes sent for the 500 MB path over a line that breaks every 50 MB, against those without breaks',
  unit: 'MB',
  target: { of: 'ratio', relation: '≤', value: 1.05 },
  hasReference: false,
  async run(bench) {
    const path = bench.store.hugeFile.storePath
    const whole = await withEmptyDepot(bench, (burrow) =>
      pushMeasured(bench, burrow.endpoint.port, [path], ['--no-closure']),
    )
    const cut = await withEmptyDepot(bench, (burrow) =>
      overLine(burrow, { bitsPerSecond: 800_000_000, roundTripMs: 2, cutAfterBytes: 50_000_000 }, async (proxy) => {
        await push(bench, proxy.port, [path], ['--no-closure', '--jobs', '2'])
        return proxy.bytesUp
      }),
    )
    return { rounds: [{ reference: whole.wireBytes / 1e6, burrow: cut / 1e6 }] }
  },
}

async function pushClosureBeside(bench: Bench, reference: () => Promise<number>) {
  const pushIt = () =>
    withEmptyDepot(bench, (burrow) => push(bench, burrow.endpoint.port, [bench.store.root.storePath]))
  return { rounds: await interleave(reference, pushIt, { rounds: bench.longRounds, discardFirst: false }) }
}

async function repeat(bench: Bench, run: () => Promise<number>) {
  const rounds = []
  for (let round = 0; round < bench.longRounds; round++) rounds.push({ reference: undefined, burrow: await run() })
  return rounds
}

function smallPaths({ store }: Bench, count: number): string[] {
  return store.objects
    .filter(({ narSize }) => narSize < 200_000)
    .slice(0, count)
    .map(({ storePath }) => storePath)
}

/** Paths of 1 to 20 MB up to so many bytes of NAR. */
function middlePaths({ store }: Bench, bytes: number): string[] {
  let sum = 0
  return store.objects
    .filter(({ narSize }) => {
      if (narSize < 1_000_000 || narSize > 20_000_000 || sum > bytes) return false
      sum += narSize
      return true
    })
    .map(({ storePath }) => storePath)
}
