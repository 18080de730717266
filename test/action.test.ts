/**
 * action.yml as a runner takes it: its shell steps, one after the other, inputs in their environment, with a real cache
 * and a real Nix.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { parse } from 'yaml'

import { type Served, serveBurrow } from './appliance/burrow.ts'
import { basic } from './fixtures/cache.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from './fixtures/nix.ts'
import { findNode } from './fixtures/other-nodes.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

interface Step {
  readonly name: string
  readonly if?: string
  readonly shell: string
  readonly env?: Readonly<Record<string, string>>
  readonly run: string
}

interface Action {
  readonly inputs: Readonly<Record<string, { readonly required?: boolean; readonly default?: string }>>
  readonly runs: { readonly using: string; readonly steps: readonly Step[] }
}

// Everything that shells and curl's config files give a meaning to.
const password = `p"a\\s's $HOME \`x\``
const expression =
  '{ made = derivation { name = "made"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo $word > $out" ]; word = "WORD"; }; }'

let nix: NixFixture
let store: ScratchStore
let server: Served
let action: Action

beforeAll(async () => {
  await promisify(execFile)(process.execPath, [join(root, 'scripts/bundle.mjs'), 'client'])
  action = parse(await readFile(join(root, 'action.yml'), 'utf8')) as Action
  nix = await openNixFixture()
  store = await nix.openStore()
  const dir = await nix.makeDir('server')
  const user = (name: string, access: string) => ({
    name,
    password: password.replaceAll('$', '$$$$'),
    access: [access],
  })
  const config = {
    listen: '127.0.0.1:0',
    operator: null,
    tunnel: 'off',
    depot: { dir: join(dir, 'depot') },
    users: [user('ci', 'push'), user('ben', 'pull')],
  }
  await writeFile(join(dir, 'burrow.json'), JSON.stringify(config), { mode: 0o600 })
  server = await serveBurrow([], {
    cwd: dir,
    env: { STATE_DIRECTORY: join(dir, 'state'), NIX_STATE_DIR: join(dir, 'none') },
  })
}, 300_000)

afterAll(async () => {
  await server?.[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

/** How this machine reaches its registry, as npm itself is told; a runner has the public one. */
const npmSettings = Object.fromEntries(
  Object.entries(process.env).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && /^(?:npm_config_.*|https?_proxy|no_proxy|node_extra_ca_certs)$/i.test(entry[0]),
  ),
)
const userConfig = { npm_config_userconfig: process.env.npm_config_userconfig ?? join(homedir(), '.npmrc') }

interface Job {
  readonly code: number
  readonly output: string
  readonly dir: string
}

/** The steps until one fails, in a workspace of their own that sees the scratch store as /nix. */
async function runAction(given: Readonly<Record<string, string>>, node = process.execPath): Promise<Job> {
  const inputs = Object.fromEntries(
    Object.entries(action.inputs).map(([name, { default: value }]) => [name, given[name] ?? value ?? '']),
  )
  const dir = await nix.makeDir('job')
  const fill = (value: string) =>
    value.replaceAll(/\$\{\{ inputs\.([\w-]+) \}\}/g, (_all, name: string) => inputs[name]!)
  let output = ''
  for (const step of action.runs.steps) {
    if (step.if !== undefined && inputs[/^inputs\.(\w+) != ''$/.exec(step.if)![1]!] === '') continue
    const env = Object.fromEntries(Object.entries(step.env ?? {}).map(([name, value]) => [name, fill(value)]))
    // As a runner starts "shell: bash".
    const { code, stdout, stderr } = await store.runInside(
      'bash',
      ['--noprofile', '--norc', '-eo', 'pipefail', '-c', step.run],
      {
        cwd: dir,
        env: {
          PATH: `${dirname(node)}:/usr/bin:/bin`,
          HOME: dir,
          RUNNER_TEMP: dir,
          ...npmSettings,
          ...userConfig,
          ...env,
        },
        allowFailure: true,
      },
    )
    output += stdout + stderr
    if (code !== 0) return { code, output, dir }
  }
  return { code: 0, output, dir }
}

const login = () => ({ url: server.url, user: 'ci', password })

async function buildCommand(word: string): Promise<string> {
  return `nix-build '${await store.writeFile('default.nix', expression.replace('WORD', word))}' -A made`
}

async function isServed(storePath: string): Promise<boolean> {
  const hashPart = storePath.slice('/nix/store/'.length).split('-')[0]
  return (
    (await fetch(`${server.url}/${hashPart}.narinfo`, { headers: { authorization: basic('ben', password) } }))
      .status === 200
  )
}

test('its steps are composite, in bash, and take what users give from the environment alone', () => {
  expect(action.runs.using).toBe('composite')
  for (const { shell, run } of action.runs.steps) {
    expect(shell).toBe('bash')
    // Text of a user inside a script would be run.
    expect(run).not.toContain('${{')
  }
})

test('they build and push what was built, whatever characters the password has, and leave it nowhere', async () => {
  const [before] = await store.build(expression.replace('WORD', 'before'), 'made')
  const { code, output, dir } = await runAction({ ...login(), build: await buildCommand('one') })
  if (code !== 0) throw new Error(output)
  const [, built] = /^(\/nix\/store\/\S+-made)$/m.exec(output)!
  expect(output).toMatch(/; pushed 1 path /)
  expect(await isServed(built!)).toBe(true)
  // It was there before the build.
  expect(await isServed(before!)).toBe(false)
  expect(output).not.toContain(password)
  expect(existsSync(join(dir, 'burrow/password'))).toBe(false)
}, 300_000)

test('on a runner with Node 20 they fetch a newer one', async () => {
  const node = await findNode(20, await nix.makeDir('node-20'))
  if (node === undefined || (await findNode(24, await nix.makeDir('probe'))) === undefined) return
  const { code, output, dir } = await runAction(
    { ...login(), build: await buildCommand('two'), paths: './result' },
    node,
  )
  if (code !== 0) throw new Error(output)
  expect(output).toMatch(/1 path to .*: 1 pushed/)
  expect(existsSync(join(dir, 'burrow/node_modules'))).toBe(true)
}, 600_000)

test('without a build they push what earlier steps have made, with further options', async () => {
  const [path] = await store.build(expression.replace('WORD', 'three'), 'made')
  const { code, output } = await runAction({ ...login(), paths: `${path}\n`, options: '--dry-run --jobs 2' })
  if (code !== 0) throw new Error(output)
  expect(output).toMatch(/1 path to .*: 1 would be pushed/)
  expect(await isServed(path!)).toBe(false)
}, 300_000)

test.each([
  ['a build that fails', { build: 'echo before; false; echo after' }, /before/],
  ['a wrong password', { password: 'something-else' }, /401/],
])(
  '%s fails the job',
  async (_what, given, said) => {
    const { code, output } = await runAction({ ...login(), ...given })
    expect(code).not.toBe(0)
    expect(output).toMatch(said)
    expect(output).not.toContain('after')
  },
  300_000,
)
