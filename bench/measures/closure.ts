/**
 * What a user waits for: a whole closure fetched by real Nix, checked, unpacked and registered. And what it costs on
 * the wire.
 */
import { interleave, type Measure } from '../measure.ts'
import { copyPaths } from '../nix-copy.ts'

export const closureCopy: Measure = {
  name: 'closure',
  what: 'closure by real nix copy, 25 connections, larder warm',
  unit: 's',
  target: { of: 'ratio', relation: '≤', value: 1.3 },
  hasReference: true,
  async run(bench) {
    const { reference, burrow } = await bench.compressed()
    const rounds = await interleave(
      () => copyPaths(bench, reference, [bench.store.root.storePath]),
      () => copyPaths(bench, burrow, [bench.store.root.storePath]),
      { rounds: bench.longRounds },
    )
    return { rounds }
  },
}

export const wireBytes: Measure = {
  name: 'wire-bytes',
  what: 'bytes on the wire for the closure (narinfos and NARs), against raw NARs',
  unit: 'MB',
  target: { of: 'ratio', relation: '≤', value: 0.34 },
  hasReference: true,
  async run(bench) {
    const { burrow } = await bench.compressed()
    const raw = burrow.links.reduce((sum, link) => sum + link.object.narSize, 0)
    const wire = burrow.links.reduce((sum, link) => sum + link.bytes! + link.narInfoBytes, 0)
    return { rounds: [{ reference: raw / 1e6, burrow: wire / 1e6 }] }
  },
}
