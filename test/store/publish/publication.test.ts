/** Which paths of a real store are published, and the reasons that are given for it. */
import { mkdir, rename, symlink, unlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import { hashPartOf } from '../../../src/nix/store-path.ts'
import { findInTable } from '../../../src/store/publish/hash-part-table.ts'
import type { PublishPolicy } from '../../../src/store/publish/policy.ts'
import { Publication, type PublishedPaths } from '../../../src/store/publish/publication.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import { everything } from '../../fixtures/published.ts'

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure
let all: string[]
let dir: string

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  closure = await store.buildClosure()
  all = await pathsOf(store)
})
afterAll(() => nix[Symbol.asyncDispose]())
beforeEach(async () => {
  dir = await nix.makeDir('roots')
})

async function pathsOf({ root }: ScratchStore): Promise<string[]> {
  const { stdout } = await nix.run('nix', ['path-info', '--all', '--store', root])
  return stdout.trim().split('\n').sort()
}

function publish(policy: Partial<PublishPolicy>, place = store): { publication: Publication; published: string[] } {
  const publication = new Publication({ ...everything, ...policy }, place)
  return { publication, published: listed(publication.update()!, all) }
}

function listed({ paths }: PublishedPaths, candidates: readonly string[]): string[] {
  return candidates.filter((path) => findInTable(paths, hashPartOf(path)) !== undefined)
}

const named = (...paths: string[]) => paths.sort()

describe('roots', () => {
  const rootsAs = (roots: string[]) => publish({ roots })

  test('a store path publishes its closure and nothing else', () => {
    expect(rootsAs([closure.lib]).published).toEqual(named(closure.lib, closure.base, closure.text))
    expect(rootsAs([closure.app]).published).toEqual(closure.appClosure)
  })

  test('a path inside of a store path stands for the store path', () => {
    expect(rootsAs([`${closure.base}/share/x`]).published).toEqual(named(closure.base, closure.text))
  })

  test('a link publishes what it leads to, also through others and by the place of the files', async () => {
    await symlink(closure.base, join(dir, 'profile-7-link'))
    await symlink('profile-7-link', join(dir, 'profile'))
    await symlink(store.realPathOf(closure.text), join(dir, 'real'))
    expect(rootsAs([join(dir, 'profile')]).published).toEqual(named(closure.base, closure.text))
    expect(rootsAs([join(dir, 'real')]).published).toEqual([closure.text])
  })

  test('a directory publishes what the links and the names of files in it say, as in /nix/var/nix/gcroots', async () => {
    await mkdir(join(dir, 'gcroots/auto'), { recursive: true })
    await symlink(closure.base, join(dir, 'result'))
    await symlink(join(dir, 'result'), join(dir, 'gcroots/auto/x1'))
    await symlink('/absent', join(dir, 'gcroots/auto/stale'))
    await symlink('..', join(dir, 'gcroots/auto/circle'))
    await writeFile(join(dir, 'gcroots', basename(closure.lib)), '')
    const { published, publication } = rootsAs([join(dir, 'gcroots')])
    expect(published).toEqual(named(closure.lib, closure.base, closure.text))
    expect(publication.rootProblems).toEqual([])
  })

  test('what cannot be used publishes nothing, and is told', async () => {
    await symlink('b', join(dir, 'a'))
    await symlink('a', join(dir, 'b'))
    await writeFile(join(dir, 'file'), '')
    await mkdir(join(dir, 'empty'))
    const absent = '/nix/store/00000000000000000000000000000000-absent'
    const roots = [absent, join(dir, 'none'), join(dir, 'a'), join(dir, 'file'), join(dir, 'empty'), store.realStoreDir]
    const { published, publication } = rootsAs(roots)
    expect(published).toEqual([])
    expect(publication.rootProblems.map(({ root }) => root)).toEqual(roots)
    expect(publication.rootProblems.map(({ problem }) => problem)).toEqual([
      expect.stringMatching(/^names 0{32}-absent, which is not in this store/),
      'does not exist',
      'leads through too many links',
      'is a file, but is not named as a store path',
      'contains no link to a store path',
      'contains the store itself, whose paths are not roots',
    ])
  })

  test('a root that is switched takes its closure along', async () => {
    const root = join(dir, 'profile')
    await symlink(closure.text, root)
    const { publication, published } = rootsAs([root])
    expect(published).toEqual([closure.text])
    expect(publication.update()).toBeUndefined()
    await symlink(closure.lib, `${root}.tmp`)
    await rename(`${root}.tmp`, root)
    const switched = publication.update()!
    expect(listed(switched, all)).toEqual(named(closure.lib, closure.base, closure.text))
    expect(switched.added).toHaveLength(2)
    await unlink(root)
    expect(listed(publication.update()!, all)).toEqual([])
  })
})

describe('denied names', () => {
  test('a denied path takes along all that refers to it, and its derivation', async () => {
    const { published } = publish({ deny: ['lib-*'] })
    expect(published).toContain(closure.base)
    for (const path of [closure.lib, closure.app, closure.appDev, closure.appDrv]) expect(published).not.toContain(path)
    expect(published.filter((path) => path.endsWith('-lib-1.0.drv'))).toEqual([])
  })

  test('nothing that is published refers to what is not', async () => {
    for (const deny of ['text-*', 'base-1.0', 'lib*', 'app*', '*.drv']) {
      const { published } = publish({ deny: [deny] })
      for (const path of published) {
        const { references } = await store.pathInfo(path)
        expect(published).toEqual(expect.arrayContaining([...references]))
      }
    }
  })
})

describe('signatures', () => {
  test('a path needs a valid one of a listed key, as does all that it refers to', async () => {
    const [ours, other] = await Promise.all([nix.generateKey('ours-1'), nix.generateKey('other-1')])
    const signed = await nix.openStore()
    await signed.buildClosure()
    await signed.sign(other.secretFile, closure.appClosure)
    const signedBy = [ours.publicKey]
    const publication = new Publication({ ...everything, signedBy }, signed)
    expect(listed(publication.update()!, all)).toEqual([])
    await signed.sign(ours.secretFile, [closure.text, closure.lib])
    await nextTurn()
    expect(listed(publication.update()!, all)).toEqual([closure.text])
    expect(publication.explain(closure.lib)).toMatchObject({
      verdict: 'unpublished',
      refusals: [],
      because: { chain: [closure.lib, closure.base], refusals: [{ kind: 'unsigned', names: ['other-1'] }] },
    })
    await signed.sign(ours.secretFile, closure.appClosure)
    await nextTurn()
    expect(listed(publication.update()!, all)).toEqual(closure.appClosure)
    expect(publication.explain(closure.app)).toMatchObject({ verdict: 'published', signer: ours.publicKey })

    const database = new DatabaseSync(signed.database)
    // A signature of other contents, under the name of the key.
    database.exec(`update ValidPaths set narSize = narSize + 1 where path = '${closure.text}'`)
    database.close()
    await nextTurn()
    expect(listed(publication.update()!, all)).toEqual([])
  })

  test('built here is not signed', async () => {
    const { publicKey } = await nix.generateKey('ours-1')
    expect((await store.pathInfo(closure.app)).ultimate).toBe(true)
    expect(publish({ signedBy: [publicKey] }).published).toEqual([])
  })
})

describe('changes of the store', () => {
  const apply = (publication: Publication) => publication.update()

  test('it follows additions and a garbage collection, and comes to what a new look comes to', async () => {
    const changing = await nix.openStore()
    await changing.buildClosure()
    const publication = new Publication({ ...everything, deny: ['extra-denied*'] }, changing)
    publication.update()
    const fresh = async () => {
      const another = new Publication({ ...everything, deny: ['extra-denied*'] }, changing)
      const paths = await pathsOf(changing)
      return { paths, published: listed(another.update()!, paths) }
    }
    const follow = async () => {
      await nextTurn()
      const update = apply(publication)
      const { paths, published } = await fresh()
      expect(publication.ofCount).toBe(paths.length)
      if (update !== undefined) expect(listed(update, paths)).toEqual(published)
      expect(publication.count).toBe(published.length)
      return { update, published }
    }
    const extra = await changing.addFile('extra', 'x')
    const added = await follow()
    expect(added.update!.added).toHaveLength(1)
    expect(added.published).toContain(extra)
    const denied = await changing.addFile('extra-denied', 'x')
    expect((await follow()).update).toBeUndefined()
    await changing.deletePath(extra)
    expect((await follow()).published).not.toContain(extra)
    // With another id than before.
    await changing.addFile('extra', 'x')
    expect((await follow()).update!.added).toHaveLength(1)
    await changing.addRoot(closure.lib)
    await changing.collectGarbage()
    const { published } = await follow()
    // Nix keeps the derivations of what it keeps.
    expect(published.filter((path) => !path.endsWith('.drv'))).toEqual(named(closure.lib, closure.base, closure.text))
    expect(await changing.isValid(denied)).toBe(false)
    await changing.buildClosure()
    expect((await follow()).published).toContain(closure.app)
  })

  test('a checkpoint, after which the database is opened again, changes nothing', async () => {
    const changing = await nix.openStore()
    const { lib } = await changing.buildClosure()
    await changing.addRoot(lib)
    const publication = new Publication({ ...everything, roots: [lib] }, changing)
    const published = listed(publication.update()!, all)
    const checkpoint = async () => {
      const database = new DatabaseSync(changing.database)
      database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      database.close()
      await nextTurn()
    }
    await checkpoint()
    expect(publication.update()).toBeUndefined()
    // Added and removed before the next look.
    const extra = await changing.addFile('extra', 'x')
    await changing.collectGarbage()
    await checkpoint()
    expect(publication.update()).toBeUndefined()
    expect(publication.ofCount).toBe((await pathsOf(changing)).length)
    expect(publication.explain(extra).verdict).toBe('absent')
    expect(publication.count).toBe(published.length)
  })

  test('a database that was replaced by another is read from its beginning', async () => {
    const [first, second] = [await nix.openStore(), await nix.openStore()]
    const old = await first.addFile('first', 'x')
    const young = await second.addFile('second', 'x')
    const publication = new Publication(everything, first)
    expect(listed(publication.update()!, [old, young])).toEqual([old])
    const database = new DatabaseSync(second.database)
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    database.close()
    await rename(second.database, first.database)
    await nextTurn()
    expect(listed(publication.update()!, [old, young])).toEqual([young])
  })

  test('a record with a path of another store is not published, nor what refers to it', async () => {
    const altered = await nix.openStore()
    await altered.buildClosure()
    const database = new DatabaseSync(altered.database)
    database.exec(`update ValidPaths set path = '/foreign/x' where path = '${closure.base}'`)
    database.close()
    const publication = new Publication({ ...everything, roots: [closure.app] }, altered)
    expect(listed(publication.update()!, all)).toEqual([closure.text])
    expect(publication.explain(closure.lib).because?.refusals).toEqual([{ kind: 'unusable' }])
  })
})

describe('explain', () => {
  test('a published path names the root and the way from it', async () => {
    const root = join(dir, 'system')
    await symlink(closure.app, root)
    const { publication } = publish({ roots: [closure.text, root] })
    expect(publication.explain(closure.base)).toEqual({
      storePath: closure.base,
      verdict: 'published',
      root: { root, chain: [closure.app, closure.lib, closure.base] },
      refusals: [],
    })
    expect(publication.explain(closure.text).root).toEqual({ root: closure.text, chain: [closure.text] })
  })

  test('an unpublished path names each rule that it does not fit', () => {
    const { publication } = publish({ roots: [closure.base], deny: ['*-1.0'] })
    const { verdict, refusals } = publication.explain(closure.app)
    expect(verdict).toBe('unpublished')
    expect(refusals).toEqual([{ kind: 'no-root' }, { kind: 'denied', glob: '*-1.0' }])
  })

  test('a path that is unpublished for what it refers to names that', () => {
    const { publication } = publish({ deny: ['base-1.0'] })
    expect(publication.explain(closure.app)).toEqual({
      storePath: closure.app,
      verdict: 'unpublished',
      refusals: [],
      because: { chain: [closure.app, closure.lib, closure.base], refusals: [{ kind: 'denied', glob: 'base-1.0' }] },
    })
  })

  test('a path that is not here is absent', () => {
    const { publication } = publish({})
    const absent = `/nix/store/${'0'.repeat(32)}-absent`
    expect(publication.explain(absent).verdict).toBe('absent')
    expect(publication.explain(`${closure.app}-not`).verdict).toBe('absent')
  })
})
