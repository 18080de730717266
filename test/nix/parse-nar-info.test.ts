/**
 * Compares the parser with real Nix: each unusual narinfo is put into a `file://` cache and read with `nix path-info`.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { parseNarInfo } from '../../src/nix/parse-nar-info.ts'
import { type NixFixture, openNixFixture } from '../fixtures/nix.ts'
import { signedClosure } from './vectors.ts'

const golden = signedClosure.paths.map(({ narInfos }) => narInfos.xz)
const whole = golden.find((text) => /^StorePath: .*-app-1.0$/m.test(text))!
const contentAddressed = golden.find((text) => text.includes('CA: fixed:r:'))!
const references = /^References: (.*)$/m.exec(whole)![1]!
const sha256 = /^NarHash: (.*)$/m.exec(whole)![1]!
const storePath = /^StorePath: (.*)$/m.exec(whole)![1]!
const hex = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'

const withField = (key: string, value: string, text = whole) =>
  text.replace(new RegExp(`^${key}: .*$`, 'm'), () => `${key}: ${value}`)
const without = (key: string, text = whole) => text.replace(new RegExp(`^${key}: .*\n`, 'm'), '')
const line = (text: string) => whole + text

const taken: [string, string][] = [
  ['what Nix writes', whole],
  ['fields in reverse order', `${whole.trimEnd().split('\n').reverse().join('\n')}\n`],
  ['unknown keys', line('Foo: bar\n')],
  ['a key in another case, as unknown', line('narsize: x\n')],
  ['any two characters as separator', whole.replace('URL: ', 'URL:x')],
  ['a store path with redundant slashes', withField('StorePath', storePath.replace('/store/', '//store/./'))],
  ['a store path with a trailing slash', withField('StorePath', `${storePath}/`)],
  ['no compression', without('Compression')],
  ['an empty compression', withField('Compression', '')],
  ['no hash and size of the file', without('FileHash', without('FileSize'))],
  ['a file hash of another algorithm', withField('FileHash', 'sha1:kpcd173cq987hw957sx6m0868wv3x6d9')],
  ['a file hash in base16', withField('FileHash', `sha256:${hex}`)],
  ['a NAR hash as SRI', withField('NarHash', 'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=')],
  ['a size with a plus', withField('FileSize', '+256')],
  ['no references', without('References')],
  ['several spaces between references', withField('References', ` ${references.replaceAll(' ', '   ')} `)],
  ['a duplicate reference', withField('References', `${references} ${references}`)],
  ['a second line of references after an empty one', `References: \n${whole}`],
  ['an unknown deriver', withField('Deriver', 'unknown-deriver')],
  ['a deriver that is not a derivation', withField('Deriver', storePath.slice('/nix/store/'.length))],
  ['no signature', without('Sig')],
  ['two signatures', line(`Sig: other-1:${'A'.repeat(86)}==\n`)],
  ['a content address', contentAddressed],
  ['an empty content address', line('CA: \n')],
  ['a content address in base16', withField('CA', `fixed:r:sha256:${hex}`, contentAddressed)],
  ['a flat content address', withField('CA', 'fixed:sha1:kpcd173cq987hw957sx6m0868wv3x6d9', contentAddressed)],
  ['a system', line('System: x86_64-linux\n')],
  ['a repeated URL', line('URL: nar/other.nar\n')],
]

const refused: [string, string][] = [
  ['nothing', ''],
  ['no trailing newline', whole.trimEnd()],
  ['CRLF', whole.replaceAll('\n', '\r\n')],
  ['a blank line', whole.replace('NarHash', '\nNarHash')],
  ['a comment line', line('# comment\n')],
  ['a line without a colon at the end', line('foo\n')],
  ['a colon as the last character', line('Foo:')],
  [
    'references without a space, which swallow the next line',
    whole.replace(`References: ${references}`, 'References:'),
  ],
  ['an indented required key', whole.replace('NarHash', ' NarHash')],
  ['no store path', without('StorePath')],
  ['a base name as store path', withField('StorePath', storePath.slice('/nix/store/'.length))],
  ['another store directory', withField('StorePath', storePath.replace('/nix', '/gnu'))],
  ['a path in a store object', withField('StorePath', `${storePath}/bin`)],
  ['no URL', without('URL')],
  ['an empty URL', withField('URL', '')],
  ['an empty file hash', withField('FileHash', '')],
  ['a broken file hash', withField('FileHash', 'sha256:abc')],
  ['an empty file size', withField('FileSize', '')],
  ['a negative file size', withField('FileSize', '-1')],
  ['a fractional file size', withField('FileSize', '1.5')],
  ['a hexadecimal file size', withField('FileSize', '0x10')],
  ['a file size with a space', withField('FileSize', '12 ')],
  ['no NAR hash', without('NarHash')],
  ['a NAR hash without its algorithm', withField('NarHash', sha256.slice('sha256:'.length))],
  ['no NAR size', without('NarSize')],
  ['a NAR size of 0', withField('NarSize', '0')],
  ['a NAR size above 2^64', withField('NarSize', '18446744073709551616')],
  ['a tab between references', withField('References', references.replace(' ', '\t'))],
  ['an absolute reference', withField('References', storePath)],
  ['two lines of references', line(`References: ${references}\n`)],
  ['an empty deriver', withField('Deriver', '')],
  ['an absolute deriver', withField('Deriver', storePath)],
  ['a broken content address', line('CA: fixed:md4:abc\n')],
  [
    'a content address as SRI',
    withField('CA', 'fixed:r:sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=', contentAddressed),
  ],
  ['two content addresses', contentAddressed + /^CA: .*\n/m.exec(contentAddressed)![0]],
]

/** Accepted by Nix 2.8, but rejected by later versions, or by this parser to protect its callers. */
const refusedBeyondNix28: [string, string][] = [
  ['an unknown compression', withField('Compression', 'zst')],
  ['a signature without a name', withField('Sig', 'AAAA')],
  ['a signature with an empty name', withField('Sig', ':AAAA')],
  ['a signature without a payload', withField('Sig', 'a:')],
  ['a signature that is not base64', withField('Sig', 'a:%%%%')],
  ['a NAR hash that is not SHA-256', withField('NarHash', 'sha1:kpcd173cq987hw957sx6m0868wv3x6d9')],
  ['a NAR size above 2^53', withField('NarSize', '18446744073709551615')],
  ['a reference named ".."', withField('References', `${'0'.repeat(32)}-..`)],
]

describe('parseNarInfo', () => {
  let nix: NixFixture
  beforeAll(async () => {
    nix = await openNixFixture()
  })
  afterAll(() => nix[Symbol.asyncDispose]())

  async function nixTakes(text: string): Promise<boolean> {
    const path = text.includes(contentAddressed.slice(0, 40))
      ? /^StorePath: (.*)$/m.exec(contentAddressed)![1]!
      : storePath
    const cache = await nix.makeDir('cache')
    await writeFile(join(cache, 'nix-cache-info'), 'StoreDir: /nix/store\n')
    await writeFile(join(cache, `${path.slice('/nix/store/'.length).slice(0, 32)}.narinfo`), text)
    const env = { XDG_CACHE_HOME: cache }
    const { code, stderr } = await nix.run('nix', ['path-info', '--json', '--store', `file://${cache}`, path], {
      env,
      allowFailure: true,
    })
    if (code !== 0 && !/corrupt|error:/.test(stderr)) throw new Error(`Nix failed for another reason: ${stderr}`)
    return code === 0
  }

  test.each(taken)('parseNarInfo accepts %s, as Nix does', async (_, text) => {
    expect(parseNarInfo(text)).toBeDefined()
    expect(await nixTakes(text)).toBe(true)
  })

  test.each(refused)('parseNarInfo rejects %s, as Nix does', async (_, text) => {
    expect(parseNarInfo(text)).toBeUndefined()
    expect(await nixTakes(text)).toBe(false)
  })

  test.each(refusedBeyondNix28)('parseNarInfo rejects %s, although Nix 2.8 accepts it', async (_, text) => {
    expect(parseNarInfo(text)).toBeUndefined()
    expect(await nixTakes(text)).toBe(true)
  })

  test('parseNarInfo normalizes values', () => {
    const info = parseNarInfo(
      withField(
        'StorePath',
        `${storePath}/`,
        withField(
          'References',
          `${references.split(' ').reverse().join('  ')} ${references}`,
          whole + whole.match(/^Sig: .*\n/m)![0],
        ),
      ),
    )!
    expect(info).toEqual(parseNarInfo(whole))
    expect(parseNarInfo(withField('FileHash', `sha256:${hex}`))!.fileHash).toBe(
      'sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s',
    )
    expect(parseNarInfo(without('Compression'))!.compression).toBe('bzip2')
    expect(parseNarInfo(line('URL: nar/other.nar\n'))!.url).toBe('nar/other.nar')
  })

  test('parseNarInfo never throws, whatever is removed from or inserted into a narinfo', () => {
    const spot = fc.nat({ max: whole.length })
    const damage = fc.record({
      from: spot,
      length: fc.oneof(fc.nat({ max: 5 }), spot),
      put: fc.oneof(fc.string(), fc.constantFrom('\n', ':', ': ', '\0', '\r')),
    })
    fc.assert(
      fc.property(fc.oneof(fc.array(damage, { minLength: 1, maxLength: 4 }), fc.string()), (change) => {
        const damaged =
          typeof change === 'string'
            ? change
            : change.reduce(
                (text, { from, length, put }) => text.slice(0, from) + put + text.slice(from + length),
                whole,
              )
        const info = parseNarInfo(damaged)
        if (info !== undefined)
          expect([info.narSize > 0, info.url !== '', info.storePath.startsWith('/nix/store/')]).toEqual([
            true,
            true,
            true,
          ])
      }),
      { numRuns: 1000 },
    )
  })

  test('parseNarInfo accepts another store directory as an option', () => {
    const elsewhere = whole.replace('/nix/store', '/gnu/store')
    expect(parseNarInfo(elsewhere, '/gnu/store')!.references[0]).toMatch(/^\/gnu\/store\//)
  })
})
