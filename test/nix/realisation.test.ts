import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { parseRealisationId } from '../../src/nix/realisation.ts'

const drvHash = `sha256:${'0123456789abcdef'.repeat(4)}`

describe('parseRealisationId', () => {
  test('parseRealisationId splits a derivation hash from an output name', () => {
    expect(parseRealisationId(`${drvHash}!out`)).toEqual({ drvHash, outputName: 'out' })
  })

  test.each([
    `${drvHash}`,
    `${drvHash}!`,
    `${drvHash}!a/b`,
    `${drvHash}!a!b`,
    `${drvHash}!out\n`,
    `${drvHash}!\0`,
    `${drvHash.toUpperCase()}!out`,
    `${drvHash}0!out`,
    `sha1:${'0'.repeat(64)}!out`,
    `${drvHash}!${'x'.repeat(212)}`,
    '',
  ])('parseRealisationId rejects %j', (text) => {
    expect(parseRealisationId(text)).toBeUndefined()
  })

  test('parseRealisationId never throws', () => {
    fc.assert(
      fc.property(
        fc.string(),
        (text) => parseRealisationId(`${drvHash}!${text}`) === undefined || /^[^/\s]+$/.test(text),
      ),
    )
  })
})
