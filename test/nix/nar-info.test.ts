import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { compressions, formatNarInfo, formatNarInfoJson, type NarInfo } from '../../src/nix/nar-info.ts'
import { encodeNix32 } from '../../src/nix/nix32.ts'
import { parseNarInfo } from '../../src/nix/parse-nar-info.ts'
import { generateSecretKey } from '../../src/nix/secret-key.ts'
import { signedClosure, toPathInfo } from './vectors.ts'

const paths = signedClosure.paths.map((vector) => [vector.pathInfo.path, vector] as const)

describe('formatNarInfo', () => {
  test.each(paths)('formatNarInfo writes the same bytes as Nix for %s', (_, { pathInfo, databaseHash, narInfos }) => {
    const info = toPathInfo(pathInfo, databaseHash)
    const uncompressed = {
      ...info,
      url: `nar/${info.narHash.slice('sha256:'.length)}.nar`,
      compression: 'none',
      fileHash: info.narHash,
      fileSize: info.narSize,
      system: undefined,
    } as const
    expect(formatNarInfo(uncompressed)).toBe(narInfos.none)
    expect(formatNarInfo(parseNarInfo(narInfos.xz)!)).toBe(narInfos.xz)
  })

  test('formatNarInfo omits what is not known yet, and puts the system before the signatures', () => {
    const info = parseNarInfo(signedClosure.paths[1]!.narInfos.none)!
    const keys = formatNarInfo({
      ...info,
      fileHash: undefined,
      fileSize: undefined,
      system: 'x86_64-linux',
      contentAddress: 'text:sha256:0',
    })
      .trimEnd()
      .split('\n')
      .map((line) => line.slice(0, line.indexOf(':')))
    expect(keys).toEqual([
      'StorePath',
      'URL',
      'Compression',
      'NarHash',
      'NarSize',
      'References',
      'Deriver',
      'System',
      'Sig',
      'CA',
    ])
  })

  test('parseNarInfo reads back what formatNarInfo writes', () => {
    fc.assert(fc.property(anyNarInfo(), (info) => expect(parseNarInfo(formatNarInfo(info))).toEqual(info)))
  })
})

describe('formatNarInfoJson', () => {
  test.each(paths)('formatNarInfoJson matches `nix path-info --json` for %s', (_, { narInfos, xzJson }) => {
    const json = JSON.parse(JSON.stringify(formatNarInfoJson(parseNarInfo(narInfos.xz)!)))
    const withoutAbsent = Object.fromEntries(
      Object.entries(json).filter(([name, value]) => name !== 'compression' && value !== null),
    )
    expect(withoutAbsent).toEqual(xzJson)
  })

  test('formatNarInfoJson includes what only the local store knows', () => {
    const info = parseNarInfo(signedClosure.paths[0]!.narInfos.none)!
    const json = formatNarInfoJson({
      ...info,
      fileHash: undefined,
      fileSize: undefined,
      registrationTime: 5,
      ultimate: true,
    })
    expect(json).toMatchObject({ registrationTime: 5, ultimate: true, deriver: null, compression: 'none' })
    expect(Object.keys(json)).not.toContain('downloadHash')
  })
})

function anyNarInfo(): fc.Arbitrary<NarInfo> {
  const sha256 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => `sha256:${encodeNix32(bytes)}`)
  const hashPart = fc.uint8Array({ minLength: 20, maxLength: 20 }).map(encodeNix32)
  const name = fc
    .string({ unit: fc.constantFrom(...'abcXYZ019+-._?='), minLength: 1, maxLength: 30 })
    .map((text) => `n${text}`)
  const storePath = fc.tuple(hashPart, name).map((parts) => `/nix/store/${parts.join('-')}`)
  const key = generateSecretKey('k-1')
  return fc.record({
    storePath,
    url: fc.string({ unit: fc.constantFrom(...'nar/:?=&0.- é'), minLength: 1, maxLength: 30 }),
    compression: fc.constantFrom(...compressions),
    fileHash: fc.option(sha256, { nil: undefined }),
    fileSize: fc.option(fc.maxSafeNat(), { nil: undefined }),
    narHash: sha256,
    narSize: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    references: fc.uniqueArray(storePath, { maxLength: 5 }).map((list) => list.sort()),
    deriver: fc.option(storePath, { nil: undefined }),
    system: fc.option(fc.constantFrom('x86_64-linux', 'aarch64-darwin'), { nil: undefined }),
    signatures: fc
      .uniqueArray(fc.string(), { maxLength: 3 })
      .map((texts) => [...new Set(texts.map((text) => key.sign(text)))]),
    contentAddress: fc.option(
      sha256.map((hash) => `fixed:r:${hash}`),
      { nil: undefined },
    ),
  })
}
