/** Real files on a PATH of their own. */
import { chmod, chown, copyFile, mkdir, readFile, rename, symlink, utimes, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'

import {
  type BinarySearch,
  createBinaryFinder,
  findBinary,
  installedBinaryPath,
  warnOfVersion,
} from '../../../appliance/tunnel/find/binary.ts'
import { LaunchFault } from '../../../appliance/tunnel/launch/launch.ts'
import { createScratchDir, type ScratchDir } from '../scratch-dir.ts'

const answering = (version: string) => `#!/bin/sh\necho ${version}\n`

async function put(file: string, content: string, mode = 0o755): Promise<string> {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, content, { mode })
  await chmod(file, mode)
  return file
}

const searchIn = (dir: ScratchDir, path: readonly string[], search: Partial<BinarySearch> = {}): BinarySearch => ({
  settings: { binary: undefined },
  // Whoever ran the npm package's install script has one there.
  env: { PATH: path.join(':'), CLOUDFLARED_BIN: dir.file('packaged') },
  stateDir: dir.file('state'),
  now: () => Date.UTC(2026, 10, 26),
  ...search,
})

describe('findBinary', () => {
  test('the one that the config names, before all others', async () => {
    await using dir = await createScratchDir()
    await put(dir.file('bin/cloudflared'), answering('2026.8.2'))
    const named = await put(dir.file('mine'), answering('2026.1.0'))
    expect(await findBinary(searchIn(dir, [dir.file('bin')], { settings: { binary: named } }))).toEqual({
      path: named,
      version: '2026.1.0',
    })
  })

  test('the first on PATH, then the installed one, then the one of the npm package, then none', async () => {
    await using dir = await createScratchDir()
    const first = await put(dir.file('a/cloudflared'), answering('2026.1.1'))
    const second = await put(dir.file('b/cloudflared'), answering('2026.1.2'))
    const installed = await put(installedBinaryPath(dir.file('state')), answering('2026.1.3'))
    const packaged = await put(dir.file('packaged'), answering('2026.1.4'))
    const search = searchIn(dir, [dir.file('none'), dir.file('a'), dir.file('b')])
    for (const path of [first, second, installed, packaged]) {
      expect((await findBinary(search))?.path).toBe(path)
      await rename(path, `${path}-gone`)
    }
    expect(await findBinary(search)).toBeUndefined()
  })

  test('on PATH nothing is taken that is no program: a directory, no permission, a program of elsewhere, a part of one, a loose end', async () => {
    await using dir = await createScratchDir()
    const names = ['directory', 'forbidden', 'foreign', 'cut', 'empty', 'loose']
    await mkdir(dir.file('directory/cloudflared'), { recursive: true })
    await put(dir.file('forbidden/cloudflared'), answering('2026.1.1'), 0o644)
    await put(dir.file('foreign/cloudflared'), 'MZ not for this machine')
    await put(dir.file('cut/cloudflared'), '\x7fELF')
    await put(dir.file('empty/cloudflared'), '')
    await mkdir(dir.file('loose'))
    await symlink(dir.file('nowhere'), dir.file('loose/cloudflared'))
    const path = names.map((name) => dir.file(name))
    expect(await findBinary(searchIn(dir, path))).toBeUndefined()
    const good = await put(dir.file('good/cloudflared'), answering('2026.1.1'))
    expect((await findBinary(searchIn(dir, [...path, dir.file('good')])))?.path).toBe(good)
  })

  test("npm's forwarder is never taken, neither of a package's scripts nor by a link of npm --global", async () => {
    await using dir = await createScratchDir()
    const forwarder = createRequire(import.meta.url)
      .resolve('cloudflared')
      .replace(/lib\.js$/, 'cloudflared.js')
    const ownBin = fileURLToPath(new URL('../../../node_modules/.bin', import.meta.url))
    await put(dir.file('x/node_modules/.bin/cloudflared'), answering('2026.1.1'))
    await mkdir(dir.file('global'))
    await symlink(forwarder, dir.file('global/cloudflared'))
    expect(
      await findBinary(searchIn(dir, [ownBin, `${dir.file('x/node_modules/.bin')}/`, dir.file('global')])),
    ).toBeUndefined()
  })

  test('relative parts of PATH are left out: what is run must not depend on the working directory', async () => {
    await using dir = await createScratchDir()
    expect(await findBinary(searchIn(dir, ['', '.', 'test/fixtures/connectors']))).toBeUndefined()
    expect(await findBinary({ ...searchIn(dir, []), env: {} })).toBeUndefined()
  })

  test('one that is too old gives way to a newer one, and is better than none', async () => {
    await using dir = await createScratchDir()
    const old = await put(dir.file('a/cloudflared'), answering('2025.6.1'))
    const search = searchIn(dir, [dir.file('a')])
    expect(await findBinary(search)).toEqual({ path: old, version: '2025.6.1' })
    const installed = await put(installedBinaryPath(dir.file('state')), answering('2026.9.3'))
    expect((await findBinary(search))?.path).toBe(installed)
    await put(old, answering('2026.8.1'))
    expect((await findBinary(search))?.path).toBe(installed)
  })

  test('one that has grown older than a year gives way to a newer one', async () => {
    await using dir = await createScratchDir()
    const old = await put(dir.file('a/cloudflared'), answering('2026.3.0'))
    const installed = await put(installedBinaryPath(dir.file('state')), answering('2027.1.0'))
    const search = (now: number) => ({ ...searchIn(dir, [dir.file('a')]), now: () => now })
    expect((await findBinary(search(Date.UTC(2027, 2))))?.path).toBe(old)
    expect((await findBinary(search(Date.UTC(2027, 3))))?.path).toBe(installed)
  })

  test.each<[string, string]>([
    ['fails', '#!/bin/sh\nexit 1\n'],
    ['says something else', '#!/bin/sh\necho hello\n'],
    ['says too much', '#!/bin/sh\nexec yes 2026.1.1\n'],
  ])('one that %s when asked for its version is found, with none', async (_what, content) => {
    await using dir = await createScratchDir()
    const path = await put(dir.file('a/cloudflared'), content)
    expect(await findBinary(searchIn(dir, [dir.file('a')]))).toEqual({ path, version: undefined })
  })

  test('asks without our environment, once for each file as it is', async () => {
    await using dir = await createScratchDir()
    const path = await put(
      dir.file('a/cloudflared'),
      `#!/bin/sh\necho asked >> ${dir.file('asked')}\nenv > ${dir.file('env')}\necho 2026.1.1\n`,
    )
    const search = searchIn(dir, [dir.file('a'), '/usr/bin', '/bin'])
    const all = { ...search, env: { ...search.env, CI_PASSWORD: 'secret', NOTIFY_SOCKET: '/x' } }
    for (let time = 0; time < 3; time++) expect(await findBinary(all)).toEqual({ path, version: '2026.1.1' })
    expect(await readFile(dir.file('asked'), 'utf8')).toBe('asked\n')
    expect(await readFile(dir.file('env'), 'utf8')).not.toMatch(/secret|NOTIFY/)
    await put(path, answering('2026.2.2'))
    await utimes(path, 1, 1)
    expect((await findBinary(all))?.version).toBe('2026.2.2')
  })

  test.each<[string, (file: string) => Promise<unknown>, RegExp]>([
    ['absent', async () => {}, /does not exist/],
    ['forbidden', (file) => put(file, answering('2026.1.1'), 0o600), /cannot be executed by this user/],
    ['a directory', (file) => mkdir(file), /is not an executable for this machine/],
    ['an archive', (file) => put(file, '\x1f\x8b gzip'), /is not an executable for this machine/],
  ])('the one that the config names is never passed over: %s', async (_what, make, expected) => {
    await using dir = await createScratchDir()
    await put(dir.file('a/cloudflared'), answering('2026.1.1'))
    const binary = dir.file('named')
    await make(binary)
    const fault = await findBinary(searchIn(dir, [dir.file('a')], { settings: { binary } })).catch(
      (error: unknown) => error as LaunchFault,
    )
    expect(fault).toBeInstanceOf(LaunchFault)
    expect(fault).toMatchObject({
      message: expect.stringMatching(expected),
      remedy: expect.stringContaining('"tunnel": { "binary": … }'),
    })
    expect((fault as LaunchFault).message).toContain(binary)
  })
})

test.each([
  ['2025.6.11', expect.stringMatching(/"\/x\/cloudflared" is cloudflared 2025.*2025\.7\.0/)],
  ['2025.7.0', undefined],
  [
    '2026.8.0',
    expect.stringMatching(/2026\.8\.0, which was withdrawn by Cloudflare.*; update it, or run "burrow tunnel install"/),
  ],
  ['DEV', undefined],
  [undefined, expect.stringMatching(/"\/x\/cloudflared" does not answer .*2025\.7\.0 or newer/)],
])('warnOfVersion %s: %s', (version, expected) => {
  expect(warnOfVersion({ path: '/x/cloudflared', version }, Date.UTC(2026, 6))).toEqual(expected)
})

describe('root and what lies in the state directory of another', () => {
  const whenRoot = process.geteuid?.() === 0 ? test : test.skip
  const service = { uid: 61_234, gid: 61_235 }
  const tellingUser = '#!/bin/sh\necho 2026.1.$(id -u | tail -c 4)\n'

  /** As systemd has it for dynamic users: the state directory is the service's, in one that only root enters. */
  async function putForService(dir: ScratchDir): Promise<string> {
    const path = await put(installedBinaryPath(dir.file('state')), tellingUser)
    for (const name of ['state', 'state/bin', 'state/bin/cloudflared'])
      await chown(dir.file(name), service.uid, service.gid)
    await chmod(dir.file('state'), 0o700)
    return path
  }

  whenRoot('runs it as that user, though only root gets there', async () => {
    await using dir = await createScratchDir()
    const path = await putForService(dir)
    expect(await findBinary(searchIn(dir, ['/usr/bin', '/bin'], { userId: 0 }))).toEqual({
      path,
      version: '2026.1.234',
    })
  })

  whenRoot('runs it as that user where a link of the config leads there', async () => {
    await using dir = await createScratchDir()
    await symlink(await putForService(dir), dir.file('link'))
    // The link's own directory is root's alone, and the link cannot be followed by another user: no version is better
    // than one told as root.
    expect(
      await findBinary(searchIn(dir, ['/usr/bin', '/bin'], { settings: { binary: dir.file('link') }, userId: 0 })),
    ).toEqual({
      path: dir.file('link'),
      version: undefined,
    })
  })

  whenRoot('runs what lies elsewhere, or in a directory of its own, as itself', async () => {
    await using dir = await createScratchDir()
    const path = await putForService(dir)
    const elsewhere = await put(dir.file('a/cloudflared'), tellingUser)
    expect(await findBinary(searchIn(dir, [dir.file('a'), '/usr/bin', '/bin'], { userId: 0 }))).toEqual({
      path: elsewhere,
      version: '2026.1.0',
    })
    await chown(dir.file('state'), 0, 0)
    expect(await findBinary(searchIn(dir, ['/usr/bin', '/bin'], { userId: 0 }))).toEqual({ path, version: '2026.1.0' })
  })
})

test('createBinaryFinder tells what it finds once, and again when it is another', async () => {
  await using dir = await createScratchDir()
  const said: string[] = []
  const at = (level: string) => (fields: object, message: string) =>
    void said.push(`${level} ${message} ${'version' in fields ? fields.version : ''}`)
  const find = createBinaryFinder(searchIn(dir, [dir.file('a')]), {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  })
  expect(await find()).toBeUndefined()
  const path = await put(dir.file('a/cloudflared'), answering('2026.1.1'))
  await find()
  await find()
  expect(said).toEqual(['info Found cloudflared 2026.1.1'])
  await put(join(dirname(path), 'new'), answering('2025.1.0'))
  await copyFile(join(dirname(path), 'new'), path)
  await find()
  await find()
  expect(said.slice(1)).toEqual([expect.stringMatching(/^warn .*2025\.7\.0 or newer/)])
})
