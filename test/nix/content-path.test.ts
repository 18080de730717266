/** Store paths computed from content addresses, compared with those of the installed Nix. */
import { createHash } from 'node:crypto'

import { describe, expect, test } from '@jest/globals'

import { computeContentPath, splitContentAddress } from '../../src/nix/content-path.ts'
import { encodeNix32 } from '../../src/nix/nix32.ts'
import { run } from '../fixtures/run.ts'

const storeDir = '/nix/store'
const content = 'the content\n'
const any = (name: string) => `${storeDir}/${'0'.repeat(32)}-${name}`

function hashOf(algorithm: string, bytes: string): string {
  return encodeNix32(createHash(algorithm).update(bytes).digest())
}

describe('the path of a content address matches real Nix', () => {
  test.each([
    ['sha256', true],
    ['sha256', false],
    ['sha1', true],
    ['sha1', false],
    ['sha512', true],
    ['md5', false],
  ])('fixed, %s, recursive: %s', async (algorithm, isRecursive) => {
    const hash = hashOf(algorithm, content)
    const { stdout } = await run(
      'nix-store',
      ['--print-fixed-path', ...(isRecursive ? ['--recursive'] : []), algorithm, hash, 'app-1.0'],
      {
        env: { HOME: '/nonexistent' },
      },
    )
    const address = splitContentAddress(`fixed:${isRecursive ? 'r:' : ''}${algorithm}:${hash}`)!
    expect(computeContentPath(any('app-1.0'), storeDir, address, [])).toBe(stdout.trim())
  })

  test('text, with and without references', async () => {
    const expression = `let lib = builtins.toFile "lib" "inner"; in [ lib (builtins.toFile "app" "see \${lib}\\n") ]`
    const { stdout } = await run(
      'nix-instantiate',
      ['--eval', '--strict', '--json', '--readonly-mode', '-E', expression],
      { env: { HOME: '/nonexistent' } },
    )
    const [lib, app] = JSON.parse(stdout) as [string, string]
    expect(
      computeContentPath(any('lib'), storeDir, splitContentAddress(`text:sha256:${hashOf('sha256', 'inner')}`)!, []),
    ).toBe(lib)
    expect(
      computeContentPath(
        any('app'),
        storeDir,
        splitContentAddress(`text:sha256:${hashOf('sha256', `see ${lib}\n`)}`)!,
        [lib],
      ),
    ).toBe(app)
  })
})

test('an object that cannot have such references has no path', () => {
  const flat = splitContentAddress(`fixed:sha256:${hashOf('sha256', content)}`)!
  expect(computeContentPath(any('a'), storeDir, flat, [any('b')])).toBeUndefined()
  const text = splitContentAddress(`text:sha256:${hashOf('sha256', content)}`)!
  expect(computeContentPath(any('a'), storeDir, text, [any('a')])).toBeUndefined()
})
