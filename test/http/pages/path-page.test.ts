/** The page of a path: what it says of references, the closure and the login. */
import { describe, expect, test } from '@jest/globals'

import { renderClosure } from '../../../src/http/pages/path/closure-part.ts'
import { type PathFacts, renderPathFacts } from '../../../src/http/pages/path/path-page.ts'

const pathOf = (letter: string, name: string) => `/nix/store/${letter.repeat(32)}-${name}`
const own = pathOf('b', 'app-1.0')

function render(change: Partial<PathFacts> = {}, references: readonly string[] = []): string {
  return renderPathFacts({
    info: {
      storePath: own,
      url: 'nar/x.nar',
      compression: 'none',
      fileHash: undefined,
      fileSize: undefined,
      narHash: `sha256:${'0'.repeat(52)}`,
      narSize: 1,
      references,
      deriver: undefined,
      system: undefined,
      contentAddress: undefined,
      signatures: [],
      registrationTime: 0,
    },
    history: [],
    referrers: [],
    hasMoreReferrers: false,
    ownKeys: new Set(),
    cacheUrl: 'https://cache.example.org',
    isPublic: false,
    now: new Date(),
    ...change,
  }).toString()
}

const refers = (references: readonly string[]) => /id="refers".*?<\/section>/s.exec(render({}, references))![0]

describe('references', () => {
  test.each([
    ['none', [], 'No other path'],
    ['itself', [own], 'Only itself'],
  ] as const)('of %s are a sentence', (_what, references, sentence) => {
    expect(refers(references)).toContain(`<p class="muted">${sentence}</p>`)
  })

  test('are sorted by name, and the path itself is named below', () => {
    const section = refers([pathOf('0', 'zlib'), own, pathOf('1', 'bash'), pathOf('2', 'glibc')])
    expect([...section.matchAll(/<a [^>]*>([^<]*)/g)].map(([, name]) => name)).toEqual(['bash', 'glibc', 'zlib'])
    expect(section).toContain('and itself')
  })
})

test('the command that copies says who must run it, unless the cache is public', () => {
  expect(render()).toContain('Copy it and its closure from this cache, as root or with --netrc-file')
  expect(render({ isPublic: true })).not.toContain('as root')
})

describe('the closure', () => {
  const closureOf = (...members: { storePath: string; narSize: number }[]) =>
    renderClosure(
      { members, bytes: members.reduce((sum, { narSize }) => sum + narSize, 0), missing: 0, isWhole: true },
      own,
    ).toString()

  test('of a single path is a sentence, without a drawing and a table', () => {
    expect(closureOf({ storePath: own, narSize: 1024 })).toBe(
      '<p><strong>1.0 KiB in 1 path</strong>, uncompressed.</p>',
    )
  })

  test('of several paths is drawn', () => {
    const text = closureOf({ storePath: own, narSize: 1024 }, { storePath: pathOf('1', 'bash'), narSize: 512 })
    expect(text.match(/<svg class="chart tree-map/g)).toHaveLength(2)
    expect(text).toContain('<table>')
  })
})
