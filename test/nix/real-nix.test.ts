/** Narinfos and signatures, compared with those that the installed Nix makes of the same freshly built paths. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { formatFingerprint } from '../../src/nix/fingerprint.ts'
import { formatNarInfo, type NarInfo } from '../../src/nix/nar-info.ts'
import { formatSecretKey, generateSecretKey, parseSecretKey, type SecretKey } from '../../src/nix/secret-key.ts'
import { verifySignature } from '../../src/nix/signature.ts'
import { hashPartOf } from '../../src/nix/store-path.ts'
import { type KeyPair, type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { toPathInfo } from './vectors.ts'

describe('compared with real Nix', () => {
  let nix: NixFixture
  let store: ScratchStore
  let keys: KeyPair
  let cache: string
  let paths: string[]

  beforeAll(async () => {
    nix = await openNixFixture()
    store = await nix.openStore()
    const closure = await store.buildClosure()
    paths = [...closure.appClosure, closure.appDev, await store.addFile('odd+name?=._-x', 'content-addressed\n')]
    keys = await nix.generateKey('real-nix.example-1')
    cache = await nix.makeDir('cache')
    await store.sign(keys.secretFile, paths)
    await nix.run('nix', ['copy', '--from', store.root, '--to', `file://${cache}?compression=none`, ...paths])
  })
  afterAll(() => nix[Symbol.asyncDispose]())

  /** The narinfo that this cache would serve, signed only with `key`. */
  async function offer(path: string, key: SecretKey): Promise<NarInfo> {
    const database = new DatabaseSync(store.database, { readOnly: true })
    const row = database.prepare('select hash from ValidPaths where path = ?').get(path)
    database.close()
    const info = toPathInfo(await store.pathInfo(path), String(row?.hash), [])
    const url = `nar/${info.narHash.slice('sha256:'.length)}.nar`
    return {
      ...info,
      url,
      compression: 'none',
      fileHash: info.narHash,
      fileSize: info.narSize,
      system: undefined,
      signatures: [key.sign(formatFingerprint(info))],
    }
  }

  test('formatNarInfo and sign write the same bytes as Nix', async () => {
    for (const path of paths) {
      const theirs = await readFile(join(cache, `${hashPartOf(path)}.narinfo`), 'utf8')
      expect(formatNarInfo(await offer(path, parseSecretKey(keys.secretKey)))).toBe(theirs)
    }
  })

  test('verifySignature accepts signatures made by Nix', async () => {
    for (const path of paths) {
      const info = await offer(path, parseSecretKey(keys.secretKey))
      const { signatures = [] } = await store.pathInfo(path)
      expect(
        signatures.map((signature) => verifySignature(keys.publicKey, formatFingerprint(info), signature)),
      ).toEqual([true])
    }
  })

  test('generateSecretKey makes a key that Nix accepts, with the same public key', async () => {
    const key = generateSecretKey('made-here-1')
    const { stdout } = await nix.run('nix', ['key', 'convert-secret-to-public'], { input: formatSecretKey(key) })
    expect(stdout).toBe(key.publicKey)
    await store.sign(await store.writeFile('secret', formatSecretKey(key)), paths.slice(0, 1))
    const { signatures = [] } = await store.pathInfo(paths[0]!)
    expect(signatures).toContain((await offer(paths[0]!, key)).signatures[0])
  })
})
