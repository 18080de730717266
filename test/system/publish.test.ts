/** Stock Nix and the commands of the operator with a Burrow that publishes a part of its store. */
import { rename, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import { runBurrow, type Served, serve, writeConfig } from '../appliance/burrow.ts'
import { createScratchDir, type ScratchDir } from '../appliance/scratch-dir.ts'
import { basic } from '../fixtures/cache.ts'
import { type BuiltClosure, type KeyPair, type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure
let ours: KeyPair
let netrc: string
let dir: ScratchDir
let profile: string

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  closure = await store.buildClosure()
  ours = await nix.generateKey('ours-1')
  netrc = await nix.writeNetrc([{ login: 'ben', password: 'long secret' }])
})
afterAll(() => nix[Symbol.asyncDispose]())
beforeEach(async () => {
  dir = await createScratchDir()
  profile = dir.file('profile')
})
afterEach(async () => {
  await dir[Symbol.asyncDispose]()
})

async function configure(publish: object, of = store, more: object = {}): Promise<void> {
  await writeConfig(dir, {
    users: ['ben:long secret'],
    tunnel: 'off',
    state: { dir: 'state' },
    store: { realDir: of.realStoreDir },
    signing: { keyFiles: [ours.secretFile] },
    publish,
    ...more,
  })
}

async function start(): Promise<Served> {
  const served = await serve(dir)
  await served.logged(/The published paths are known/)
  return served
}

async function switchTo(path: string): Promise<void> {
  await symlink(path, `${profile}.tmp`)
  await rename(`${profile}.tmp`, profile)
}

const burrow = (...args: string[]) => runBurrow(args, { cwd: dir.path })
const statusOf = async ({ url }: Served, path: string) => {
  const hashPart = path.slice('/nix/store/'.length).slice(0, 32)
  const headers = { authorization: basic('ben', 'long secret') }
  return (await fetch(`${url}/${hashPart}.narinfo`, { headers })).status
}
/** Asked until it is so, at most for as long as the test lasts. */
const until = async (isSo: () => Promise<boolean>) => {
  while (!(await isSo()));
}
const copy = (served: Served, to: ScratchStore, path: string) =>
  nix.copy({
    from: served.url,
    to,
    paths: [path],
    netrc,
    trustedPublicKeys: [ours.publicKey],
    allowFailure: true,
  })

describe('a profile as the root', () => {
  test('Nix copies its closure and nothing else, and follows when it is switched', async () => {
    await symlink(closure.lib, join(dir.path, 'profile-1-link'))
    await symlink('profile-1-link', profile)
    await configure({ roots: ['profile'] })
    await using served = await start()
    const client = await nix.openStore()
    expect((await copy(served, client, closure.lib)).code).toBe(0)
    expect(await client.closureOf(closure.lib)).toEqual(await store.closureOf(closure.lib))
    const refused = await copy(served, client, closure.app)
    expect(refused.code).not.toBe(0)
    expect(await client.isValid(closure.app)).toBe(false)

    await symlink(closure.app, join(dir.path, 'profile-2-link'))
    await switchTo('profile-2-link')
    await until(async () => (await statusOf(served, closure.app)) === 200)
    expect((await copy(served, client, closure.app)).code).toBe(0)
    expect(await client.closureOf(closure.app)).toEqual(closure.appClosure)
    await client.nixStore(['--verify-path', ...closure.appClosure])

    await switchTo('profile-1-link')
    await until(async () => (await statusOf(served, closure.app)) === 404)
    expect(await statusOf(served, closure.lib)).toBe(200)
  })

  test('a garbage collection and new builds meanwhile change what they change, and no more', async () => {
    const changing = await nix.openStore()
    await changing.buildClosure()
    await changing.addRoot(closure.lib)
    await symlink(closure.app, profile)
    await configure({ roots: ['profile'] }, changing)
    await using served = await start()
    expect(await statusOf(served, closure.app)).toBe(200)
    await changing.collectGarbage()
    expect(await statusOf(served, closure.app)).toBe(404)
    // Only the root leads to it, and that is gone.
    await until(async () => (await statusOf(served, closure.lib)) === 404)
    await switchTo(closure.lib)
    await until(async () => (await statusOf(served, closure.lib)) === 200)
    const outside = await changing.addFile('outside', 'x')
    await changing.buildClosure()
    await switchTo(closure.app)
    await until(async () => (await statusOf(served, closure.app)) === 200)
    expect(await statusOf(served, outside)).toBe(404)
  })
})

test('denied names and signatures, as Nix sees them', async () => {
  const signed = await nix.openStore()
  await signed.buildClosure()
  await signed.sign(ours.secretFile, [closure.text, closure.base])
  await configure({ names: { deny: ['base-*'] }, signedBy: [ours.publicKey] }, signed)
  await using served = await start()
  const client = await nix.openStore()
  expect((await copy(served, client, closure.text)).code).toBe(0)
  for (const path of [closure.base, closure.lib]) expect((await copy(served, client, path)).code).not.toBe(0)
})

describe('burrow publish explain', () => {
  test.each(['running', 'stopped'])('says which root or which rule decides, %s', async (how) => {
    await symlink(closure.lib, profile)
    await configure({ roots: ['profile'], names: { deny: ['text-*'] } })
    await using served = how === 'running' ? await start() : undefined
    const lib = await burrow('publish', 'explain', closure.lib)
    expect(lib.code).toBe(1)
    expect(lib.stderr).toBe(`${closure.lib} is not published\n`)
    expect(lib.stdout).toBe(
      [
        '  it refers to a path that is not published:',
        `    ${closure.lib}`,
        `    -> ${closure.base}`,
        `    -> ${closure.text}`,
        '    the name matches "text-*" in "publish.names.deny"',
        '',
      ].join('\n'),
    )
    const app = await burrow('publish', 'explain', closure.app)
    expect(app.stdout).toContain('no root of "publish.roots" refers to it')
    expect(JSON.parse((await burrow('publish', 'explain', closure.text, '--json')).stdout)).toMatchObject({
      running: served !== undefined,
      policy: 'some',
      explanation: { verdict: 'unpublished', refusals: [{ kind: 'denied', glob: 'text-*' }] },
    })
    const absent = `/nix/store/${'0'.repeat(32)}-absent`
    expect(await burrow('publish', 'explain', absent)).toMatchObject({
      code: 1,
      stderr: `${absent} is not a valid path of this store\n`,
    })
  })

  test('names the root of a published path, and says so if there is no policy', async () => {
    await symlink(closure.lib, profile)
    await configure({ roots: ['profile'] })
    const { code, stdout } = await burrow('publish', 'explain', closure.base)
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `${closure.base} is published.\n  root: ${profile}\n    ${closure.lib}\n    -> ${closure.base}\n`,
    })
    // The link leads to a path that is elsewhere: /nix/store of this machine does not have it.
    expect((await burrow('publish', 'explain', profile)).stdout).toContain(`${closure.lib} is published.`)
    await configure({})
    expect(await burrow('publish', 'explain', closure.base)).toMatchObject({
      code: 0,
      stdout: 'All valid paths of the Nix store are published: the config has no "publish".\n',
    })
  })

  test('does not take a policy in an unset variable for none', async () => {
    await configure({ roots: ['$UNSET_ROOT'] })
    const { code, stderr } = await burrow('publish', 'explain', closure.base)
    expect(code).toBe(78)
    expect(stderr).toMatch(/\/publish\/roots\/0 .*refers to \$UNSET_ROOT, which is not set/)
  })
})

describe('check-config, status and doctor', () => {
  test('say how much is published, and which root cannot be used', async () => {
    await symlink(closure.lib, profile)
    await configure({ roots: ['profile', 'none'] })
    const checked = await burrow('check-config')
    expect(checked.code).toBe(0)
    expect(checked.stderr).toContain(`/publish/roots: "${dir.file('none')}" does not exist`)
    const stopped = await burrow('doctor')
    expect(stopped.stdout).toMatch(/^ok {4}publish {7}3 of \d+ paths of the Nix store are published$/m)
    await using served = await start()
    const status = await burrow('status')
    expect(status.stdout).toMatch(/^ +3 of \d+ paths published$/m)
    expect(status.stdout).toContain(`the root "${dir.file('none')}" does not exist`)
    const { stdout } = await burrow('doctor')
    expect(stdout).toMatch(/^ok {4}publish {7}3 of \d+ paths of the Nix store are published$/m)
    expect(stdout).toMatch(/^warn {2}publish {7}the root ".*none" does not exist/m)
    expect(served.records.filter(({ msg }) => msg.includes('cannot be used as it should'))).toHaveLength(1)
  })

  test('find a policy that publishes nothing', async () => {
    await configure({ roots: ['none'] })
    await using served = await start()
    expect((await burrow('doctor')).stdout).toMatch(/^FAIL {2}publish {7}0 of \d+ paths/m)
    expect(await statusOf(served, closure.text)).toBe(404)
  })

  test('see that the running Burrow has no policy yet', async () => {
    await configure({})
    await using served = await serve(dir)
    expect(await statusOf(served, closure.text)).toBe(200)
    await configure({ roots: [closure.lib] })
    expect((await burrow('doctor')).stdout).toMatch(
      /^FAIL {2}publish {7}the running Burrow serves the whole Nix store/m,
    )
  })

  test.each([
    [{ roots: [] }, '/publish/roots'],
    [{ signedBy: [] }, '/publish/signedBy'],
    [{ names: { deny: ['/nix/store/x'] } }, '/publish/names/deny/0'],
    [{ names: { deny: ['[a-z]'] } }, '/publish/names/deny/0'],
    [{ signedBy: ['ours-1'] }, '/publish/signedBy/0'],
    [{ root: ['/x'] }, '/publish/root'],
  ])('refuse %j', async (publish, pointer) => {
    await configure(publish)
    const { code, stderr } = await burrow('check-config')
    expect(code).toBe(78)
    expect(stderr).toContain(pointer)
  })
})
