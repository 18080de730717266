/**
 * What README.md and the guide tell a newcomer to type, typed: every command of theirs is run here, or says in a
 * comment what it needs.
 */
import { mkdir } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { findBlocks, findFate, marks, readPage } from './blocks.ts'
import { findRunnable, runPage } from './session.ts'

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  closure = await store.buildClosure()
  await mkdir(store.logDir, { recursive: true })
})

afterAll(() => nix[Symbol.asyncDispose]())

const putOnPath = findRunnable('docs/guide.md').find((line) => line.includes('/usr/local/bin/burrow'))!
// Ben, who was told both keys, goes on without the first.
const comesAgain = 'nix copy --from https://cache.example.org --to "$scratch/second" /nix/store/…-hello-2.12'

test.each([
  ['README.md', [putOnPath], []],
  ['docs/guide.md', ['start_edge'], [comesAgain]],
])(
  'the commands of %s do what it says, one after the other',
  async (page, first, last) => {
    const { code, transcript } = await runPage(page, { nix, store, closure, first, last })
    if (code !== 0 || !transcript.endsWith('@@ end\n'))
      throw new Error(`${page} stopped with ${code} after:\n${transcript.slice(-6000)}`)
    const begun = transcript.match(/^@@ \S+:\d+ .*$/gm)!.map((line) => line.replace(/^@@ \S+ /, ''))
    expect(begun.filter((line) => line !== '(a block for the config)')).toEqual(findRunnable(page))
    // What was announced was also true: the guide's last look is at a cache that clients reach through the edge.
    if (page === 'docs/guide.md') expect(transcript).toMatch(/^ok {4}download {6}NARs can be downloaded/m)
  },
  1_800_000,
)

describe('the convention', () => {
  test.each(['README.md', 'docs/guide.md'])('%s marks what is not run by a comment that is one of a few', (page) => {
    const commands = findBlocks(readPage(page))
      .filter(({ language }) => language === 'sh')
      .flatMap(({ lines }) => lines.map(({ text }) => text))
    const unknown = commands.filter((command) => findFate(command) === 'run' && /# (?:needs|takes) /.test(command))
    expect(unknown).toEqual([])
    expect(commands.length).toBeGreaterThan(4)
    expect(marks).toContain('needs Cloudflare')
  })

  test.each(['README.md', 'docs/guide.md'])('%s hides no command in a block of another language', (page) => {
    const hidden = findBlocks(readPage(page)).filter(
      ({ language, lines }) =>
        !['sh', 'json', 'nix', 'yaml'].includes(language) &&
        lines.some(({ text }) => /^(?:\$ |sudo |burrow |nix |npm )/.test(text)),
    )
    expect(hidden).toEqual([])
    expect(
      findBlocks(readPage(page)).filter(({ language }) => ['bash', 'shell', 'console'].includes(language)),
    ).toEqual([])
  })
})
