/**
 * The client in one file, as users get it: downloaded by curl from a real cache with a netrc, run by Nodes of several
 * ages from an empty folder, pushing what real Nix built; another Nix copies it with signatures required.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { type Served, serveBurrow } from '../../appliance/burrow.ts'
import { basic } from '../../fixtures/cache.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import { findNode } from '../../fixtures/other-nodes.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const run = promisify(execFile)

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure

beforeAll(async () => {
  await run(process.execPath, [join(root, 'scripts/bundle.mjs'), 'client'])
  nix = await openNixFixture()
  store = await nix.openStore()
  closure = await store.buildClosure()
}, 300_000)

afterAll(() => nix[Symbol.asyncDispose]())

/** A cache with a depot and no store of its own, as `burrow serve` runs it. */
async function serveDepot(): Promise<{ server: Served; publicKey: string; dir: string }> {
  const dir = await nix.makeDir('server')
  const key = await nix.generateKey('cache-1')
  const user = (name: string, ...access: string[]) => ({ name, password: 'a-long-secret', access })
  const config = {
    listen: '127.0.0.1:0',
    operator: null,
    tunnel: 'off',
    signing: { keyFiles: [key.secretFile] },
    depot: { dir: join(dir, 'depot') },
    users: [user('ci', 'push'), user('ben', 'pull'), user('eva', 'pull', 'push'), user('ana', 'admin')],
  }
  await writeFile(join(dir, 'burrow.json'), JSON.stringify(config), { mode: 0o600 })
  const server = await serveBurrow([], {
    cwd: dir,
    env: { STATE_DIRECTORY: join(dir, 'state'), NIX_STATE_DIR: join(dir, 'none') },
  })
  return { server, publicKey: key.publicKey, dir }
}

/** Nothing but the file, a netrc and the scratch store as the machine's own. */
async function pusher(
  url: string,
  login = 'ci',
): Promise<{ dir: string; env: Record<string, string>; fetchClient: () => Promise<unknown> }> {
  const dir = await nix.makeDir('pusher')
  await writeFile(join(dir, '.netrc'), `machine 127.0.0.1 login ${login} password a-long-secret\n`, { mode: 0o600 })
  const env = {
    PATH: '/usr/bin:/bin',
    HOME: dir,
    NIX_STATE_DIR: store.stateDir,
    BURROW_REAL_STORE_DIR: store.realStoreDir,
    NIX_CONF_DIR: dir,
  }
  return {
    dir,
    env,
    fetchClient: () => run('curl', ['-fsS', '-n', `${url}/v1/client.mjs`, '-o', 'burrow-push.mjs'], { cwd: dir, env }),
  }
}

test.each([
  ['the Node of the tests', undefined],
  ['Node 22.16', '22.16'],
])(
  'what curl gets is run by %s and pushes a closure that real Nix copies',
  async (_name, major) => {
    const node = major === undefined ? process.execPath : await findNode(major, await nix.makeDir(`node-${major}`))
    if (node === undefined) return
    const { server, publicKey } = await serveDepot()
    await using _ = server
    const { dir, env, fetchClient } = await pusher(server.url)
    await fetchClient()
    const { stdout, stderr } = await run(node, ['burrow-push.mjs', 'push', '--to', server.url, closure.app], {
      cwd: dir,
      env,
    })
    expect(stdout).toMatch(
      new RegExp(`^${closure.appClosure.length} paths to .*: ${closure.appClosure.length} pushed; `),
    )
    expect(stderr).not.toMatch(/Warning|Error/)

    const to = await nix.openStore()
    const netrc = await nix.writeNetrc([{ login: 'ben', password: 'a-long-secret' }])
    await nix.realise({ from: server.url, to, paths: [closure.app], netrc, trustedPublicKeys: [publicKey] })
    expect((await to.dump(closure.app)).equals(await store.dump(closure.app))).toBe(true)
  },
  600_000,
)

test('its relay serves Nix what is in the cache, and takes what is pushed', async () => {
  const { server, publicKey } = await serveDepot()
  await using _ = server
  const { dir, env, fetchClient } = await pusher(server.url, 'eva')
  await fetchClient()
  await run(process.execPath, ['burrow-push.mjs', 'push', '--to', server.url, closure.lib], { cwd: dir, env })
  const args = ['burrow-push.mjs', 'relay', '--to', server.url, '--listen', '127.0.0.1:0']
  const relay = spawn(process.execPath, args, { cwd: dir, env, stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(relay, 'exit')
  try {
    const [line] = (await once(relay.stdout.setEncoding('utf8'), 'data')) as [string]
    const url = / on (http:\/\/127\.0\.0\.1:\d+)\n$/.exec(line)?.[1]
    const { stdout } = await run(
      process.execPath,
      ['burrow-push.mjs', 'relay', 'status', '--listen', url!.slice('http://'.length)],
      { cwd: dir, env },
    )
    expect(stdout).toContain(`${server.url}, reached`)
    const to = await nix.openStore()
    await nix.realise({ from: url!, to, paths: [closure.lib], trustedPublicKeys: [publicKey] })
    expect((await to.dump(closure.lib)).equals(await store.dump(closure.lib))).toBe(true)
    await nix.run('nix', ['copy', '--no-check-sigs', '--from', store.root, '--to', url!, closure.app])
    await nix.realise({ from: url!, to, paths: [closure.app], trustedPublicKeys: [publicKey] })
    expect(await to.isValid(closure.app)).toBe(true)
  } finally {
    relay.kill()
  }
  expect(await exited).toEqual([0, null])
}, 300_000)

test('its use --relay starts this same file', async () => {
  const { server } = await serveDepot()
  await using _ = server
  const { dir, env, fetchClient } = await pusher(server.url)
  await fetchClient()
  await writeFile(join(dir, 'password'), 'a-long-secret')
  const args = ['use', server.url, '--user', 'ben', '--password-file', 'password', '--relay', '--print']
  const { stdout } = await run(process.execPath, ['burrow-push.mjs', ...args], { cwd: dir, env })
  expect(stdout).toMatch(
    new RegExp(`^ExecStart=\\S*node\\S* --\\S+ ${dir}/burrow-push\\.mjs relay --to ${server.url} `, 'm'),
  )
}, 120_000)

test('it is given to those who may push, to those who may pull, and to admins; strangers get 401', async () => {
  const { server } = await serveDepot()
  await using _ = server
  const statusFor = async (authorization?: string) =>
    (await fetch(`${server.url}/v1/client.mjs`, { headers: authorization === undefined ? {} : { authorization } }))
      .status
  expect(await Promise.all(['ci', 'ben', 'ana'].map((name) => statusFor(basic(name, 'a-long-secret'))))).toEqual([
    200, 200, 200,
  ])
  expect(await statusFor()).toBe(401)
}, 120_000)

test('on an older Node it says which one it needs, before anything else', async () => {
  const node = await findNode(20, await nix.makeDir('node-20'))
  if (node === undefined) return
  const dir = await nix.makeDir('old')
  await copyFile(join(root, 'dist/bundles/client.mjs'), join(dir, 'burrow-push.mjs'))
  await expect(run(node, ['burrow-push.mjs', 'push', '--help'], { cwd: dir })).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^Cannot run on Node 20\.[\d.]+: this client needs Node 22\.16 or newer\. .*\n$/),
  })
}, 300_000)

test('it needs no package, names itself in its help, and has the version of the cache', async () => {
  const dir = await nix.makeDir('empty')
  await mkdir(join(dir, 'bin'))
  await copyFile(join(root, 'dist/bundles/client.mjs'), join(dir, 'bin/push.mjs'))
  const required = [...(await readFile(join(dir, 'bin/push.mjs'), 'utf8')).matchAll(/require\("([^"]+)"\)/g)].map(
    ([, name]) => name,
  )
  expect(required.length).toBeGreaterThan(5)
  expect(required.filter((name) => !isBuiltin(name!))).toEqual([])
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
  expect((await run(process.execPath, ['bin/push.mjs', 'version'], { cwd: dir })).stdout).toBe(`burrow ${version}\n`)
  expect((await run(process.execPath, ['bin/push.mjs', 'push', '--help'], { cwd: dir })).stdout).toContain(
    `node ${join(dir, 'bin/push.mjs')} push --to `,
  )
})

test('it carries the licence of each package that is in it', async () => {
  const client = await readFile(join(root, 'dist/bundles/client.mjs'), 'utf8')
  for (const name of ['commander', 'zod']) {
    expect(client).toContain(`/*! ${name} `)
    expect(client).toContain((await readFile(join(root, `node_modules/${name}/LICENSE`), 'utf8')).trim())
  }
})
