import { expect, test } from '@jest/globals'
import fc from 'fast-check'

import { formatRanges, missingParts, partsHere } from '../../../src/nar/part-ranges.ts'
import { make, TestDepot } from './fixture.ts'

const { file: _file, ...path } = make('app').path

test('whatever has the shape of a path is answered with a verdict, by plan and by commit', async () => {
  await using depot = await TestDepot.openHere()
  const text = fc.oneof(
    fc.string(),
    fc.constantFrom(path.storePath, '/etc/passwd', '../..', '/nix/store/../x', `${path.storePath}/x`),
  )
  const record = fc.record({
    storePath: text,
    narSize: fc.double(),
    references: fc.array(text, { maxLength: 3 }),
    deriver: fc.option(text, { nil: undefined }),
    signatures: fc.array(text, { maxLength: 3 }),
  })
  await fc.assert(
    fc.asyncProperty(record, async (value) => {
      const parsed = { ...value, narHash: path.narHash, contentAddress: undefined }
      expect((await depot.depot.plan([parsed], 2 ** 20, 'cat')).paths[0]!.status).toMatch(/^(refused|upload)$/)
      const verdicts = await depot.depot.commit({
        paths: [parsed],
        who: { user: 'cat', via: 'burrow' },
        isAtomic: true,
        waitMs: 0,
      })
      expect(verdicts).toEqual([expect.objectContaining({ status: expect.stringMatching(/^(refused|incomplete)$/) })])
    }),
    { numRuns: 200 },
  )
})

test('ranges of parts name each part once, and what is missing is the rest', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(40)), fc.nat(40), (waiting, flushed) => {
      const here = partsHere(
        flushed,
        waiting.sort((a, b) => a - b),
      )
      const expanded = formatRanges(here)
        .split(',')
        .filter((range) => range !== '')
        .flatMap((range) => {
          const [first, last = first] = range.split('-').map(Number)
          return Array.from({ length: last! - first! + 1 }, (_, at) => first! + at)
        })
      expect(expanded).toEqual(here)
      expect([...here.filter((index) => index < 41), ...missingParts(here, 41)].sort((a, b) => a - b)).toEqual(
        Array.from({ length: 41 }, (_, at) => at),
      )
    }),
  )
})
