/**
 * `burrow client-config --format …`: what it prints is read by what reads it in life, real Nix, a YAML parser and bash,
 * with names that each of them could take for something else.
 */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { parse } from 'yaml'

import { formatFlakeForm } from '../../appliance/terminal/client-forms/flake-form.ts'
import { formatGithubForm } from '../../appliance/terminal/client-forms/github-form.ts'
import { formatNixosForm } from '../../appliance/terminal/client-forms/nixos-form.ts'
import { type SharedSetup, toSharedSetup } from '../../appliance/terminal/client-forms/shared-setup.ts'
import { formatNetrcEntry } from '../../appliance/terminal/client-setup.ts'
import { type NixFixture, openNixFixture } from '../fixtures/nix.ts'
import { run } from '../fixtures/run.ts'
import { runBurrow } from './burrow.ts'
import { createScratchDir, type ScratchDir } from './scratch-dir.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

// No control characters and no colon in a name, no white space in a key: the config refuses those.
const hostileUser = `b"e'n \${builtins.abort "x"} \${{ secrets.OTHER }} $(touch owned) \`touch owned\` \\" #\u2028 /* ''`
const hostilePassword = `p"a\\s's #$HOME $(touch owned) \${{ x }} \``
const hostileKey = `k"'\${x}\${{secrets.OTHER}}$(touch_owned)\\-1:F4iBfbDhlwEr=`
const hostileUrl = "https://cache.example.org/it's/$%7B%7Bx%7D%7D/$(touch%20owned)"

const setups: Readonly<Record<string, SharedSetup>> = {
  plain: toSharedSetup(
    {
      url: 'https://cache.example.org',
      storeDir: '/nix/store',
      publicKeys: ['a-1:AAA=', 'b-1:BBB='],
      login: { name: 'ben', password: 'never' },
    },
    true,
  ),
  hostile: toSharedSetup(
    {
      url: hostileUrl,
      storeDir: '/gnu/store',
      publicKeys: [hostileKey],
      login: { name: hostileUser, password: 'never' },
    },
    true,
  ),
  public: toSharedSetup(
    { url: 'http://127.0.0.1:8080', storeDir: '/nix/store', publicKeys: [], login: undefined },
    false,
  ),
}
const names = Object.keys(setups)

let nix: NixFixture
let dir: ScratchDir

beforeAll(async () => {
  nix = await openNixFixture({ features: ['nix-command', 'flakes'] })
  dir = await createScratchDir()
})

afterAll(async () => {
  await dir[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

async function evaluate(args: readonly string[]): Promise<Record<string, unknown>> {
  const env = { HOME: dir.path, NIX_CONF_DIR: dir.path }
  const { stdout } = await run('nix-instantiate', ['--store', 'dummy://', '--eval', '--strict', '--json', ...args], {
    cwd: root,
    env,
  })
  return JSON.parse(stdout)
}

test.each(names)('no form for files that others read has the password, or room for it: %s', (name) => {
  for (const format of [formatNixosForm, formatFlakeForm, formatGithubForm])
    expect(format(setups[name]!)).not.toContain('never')
})

describe('--format nixos', () => {
  test.each(names)('real Nix evaluates the module within the module system: %s', async (name) => {
    const { url, publicKeys, userName } = setups[name]!
    await writeFile(dir.file('module.nix'), formatNixosForm(setups[name]!))
    const { nixSettings } = await evaluate([
      'test/nixos/evaluate.nix',
      '--arg',
      'configuration',
      `import ${dir.file('module.nix')}`,
    ])
    expect(nixSettings).toEqual({
      'extra-substituters': [url],
      ...(publicKeys.length > 0 && { 'extra-trusted-public-keys': publicKeys }),
      ...(userName !== undefined && { 'netrc-file': '/etc/nix/netrc' }),
      fallback: true,
      'connect-timeout': 5,
      'download-attempts': 7,
      'stalled-download-timeout': 120,
      'narinfo-cache-negative-ttl': 300,
    })
  })

  test("the machine's own settings win over the defaults of the module", async () => {
    await writeFile(dir.file('module.nix'), formatNixosForm(setups.plain!))
    const { nixSettings } = await evaluate([
      'test/nixos/evaluate.nix',
      '--arg',
      'configuration',
      `{ imports = [ ${dir.file('module.nix')} ]; nix.settings = { connect-timeout = 30; netrc-file = "/run/netrc"; }; }`,
    ])
    expect(nixSettings).toMatchObject({ 'connect-timeout': 30, 'netrc-file': '/run/netrc', fallback: true })
  })
})

describe('--format flake', () => {
  test.each(names)('real Nix takes it as part of a flake: %s', async (name) => {
    const { url, publicKeys } = setups[name]!
    const text = formatFlakeForm(setups[name]!)
    const value = await evaluate(['--expr', `{ ${text} }`])
    expect(value).toEqual({
      nixConfig: {
        'extra-substituters': [url],
        ...(publicKeys.length > 0 && { 'extra-trusted-public-keys': publicKeys }),
      },
    })
    // nixConfig may only have literals, which only a real flake shows.
    const flake = dir.file(`flake-${name}`)
    await mkdir(flake)
    await writeFile(`${flake}/flake.nix`, `{\n  ${text}\n  outputs = _: { answer = 42; };\n}\n`)
    const { stdout } = await nix.run('nix', ['eval', '--no-accept-flake-config', `path:${flake}#answer`])
    expect(stdout.trim()).toBe('42')
  })

  test('says who may use it, and where the login belongs', () => {
    const text = formatFlakeForm(setups.plain!)
    for (const word of ['--accept-flake-config', 'trusted-users', '/etc/nix/netrc', 'password PASSWORD'])
      expect(text).toContain(word)
  })
})

interface Step {
  readonly uses?: string
  readonly with?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
  readonly run?: string
}

/** As GitHub does before a step runs; another secret than ours would be an injection. */
function evaluateExpressions(text: string): string {
  return text.replaceAll(/\$\{\{ (.*?) \}\}/g, (_all, expression: string) => {
    if (expression === 'secrets.BURROW_PASSWORD') return hostilePassword
    if (expression === "'${{'") return '${{'
    throw new Error(`an expression of ours is ${expression}`)
  })
}

describe('--format github', () => {
  const stepsOf = (name: string) =>
    (parse(formatGithubForm(setups[name]!)) as Step[]).map((step) => ({
      ...step,
      with: mapValues(step.with),
      env: mapValues(step.env),
    }))
  const mapValues = (values: Readonly<Record<string, string>> = {}) =>
    Object.fromEntries(Object.entries(values).map(([key, value]) => [key, evaluateExpressions(value)]))

  test.each(names)('YAML and GitHub give every value back as it is: %s', (name) => {
    const { url, publicKeys, userName } = setups[name]!
    const [install, ...others] = stepsOf(name)
    expect(install!.with!.extra_nix_config!.split('\n').slice(0, 2)).toEqual([
      `extra-substituters = ${url}`,
      publicKeys.length > 0 ? `extra-trusted-public-keys = ${publicKeys.join(' ')}` : 'fallback = true',
    ])
    if (userName === undefined) return expect(others).toEqual([])
    const [login, push] = others
    expect(login!.env).toEqual({
      BURROW_HOST: 'cache.example.org',
      BURROW_USER: userName,
      BURROW_PASSWORD: hostilePassword,
    })
    expect(login!.run).not.toContain('${{')
    expect(push!.with).toEqual({ url, user: userName, password: hostilePassword, build: 'nix build' })
  })

  test('the inputs of the push step are those of action.yml', async () => {
    const { inputs } = parse(await readFile(new URL('../../action.yml', import.meta.url), 'utf8')) as {
      inputs: Record<string, object>
    }
    expect(Object.keys(inputs)).toEqual(expect.arrayContaining(Object.keys(stepsOf('plain').at(-1)!.with!)))
  })

  test.each([
    ['plain', 'plain-password'],
    ['plain', '#leading'],
    ['hostile', hostilePassword],
  ])('its shell step writes the netrc entry that Burrow itself prints: %s, %j', async (name, password) => {
    const work = dir.file(`github-${name}-${password.length}`)
    await mkdir(work)
    await writeFile(`${work}/sudo`, '#!/bin/sh\nexec "$@"\n')
    await chmod(`${work}/sudo`, 0o755)
    const login = stepsOf(name)[1]!
    const script = login.run!.replace('/etc/nix/netrc', `${work}/nix/netrc`)
    await run('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', script], {
      cwd: work,
      env: { ...login.env, BURROW_PASSWORD: password, PATH: `${work}:${process.env.PATH}` },
    })
    const { url, userName } = setups[name]!
    expect(await readFile(`${work}/nix/netrc`, 'utf8')).toBe(
      `${formatNetrcEntry(url, { name: userName!, password })}\n`,
    )
    await expect(writeFile(`${work}/owned`, '', { flag: 'wx' })).resolves.toBeUndefined()
  })

  test('without --push there is no step that pushes', () => {
    expect(parse(formatGithubForm({ ...setups.plain!, withPush: false }))).toHaveLength(2)
  })

  test('an address of this machine is marked as such', () => {
    expect(formatGithubForm(setups.public!)).toMatch(
      /^# http:\/\/127\.0\.0\.1:8080 is the address on this machine only/m,
    )
  })
})

describe('the command', () => {
  async function prepare() {
    const work = await createScratchDir()
    await writeFile(work.file('key'), (await runBurrow(['keygen', 'a-1'], { cwd: work.path })).stdout, { mode: 0o600 })
    const users = [
      { name: hostileUser.replace('\u2028', ''), password: hostilePassword.replaceAll('$', '$$$$') },
      { name: 'ci', password: 'secret of ci', access: ['push'] },
    ].map((user) => ({ ...user, name: user.name.replaceAll('$', '$$$$') }))
    await writeFile(work.file('burrow.json'), JSON.stringify({ users, signing: { keyFiles: ['key'] } }), {
      mode: 0o600,
    })
    return work
  }

  test('json has everything, byte by byte, whatever this program is called', async () => {
    await using work = await prepare()
    const name = hostileUser.replace('\u2028', '')
    const args = ['client-config', '--format', 'json', '--user', name, '--url', 'https://cache.example.org']
    const { code, stdout } = await runBurrow(args, { cwd: work.path, env: { BURROW_COMMAND: 'npx nix-burrow' } })
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual({
      url: 'https://cache.example.org',
      storeDir: '/nix/store',
      publicKeys: [expect.stringMatching(/^a-1:/)],
      nixConf: expect.objectContaining({
        'extra-substituters': ['https://cache.example.org'],
        'extra-trusted-public-keys': [expect.stringMatching(/^a-1:/)],
        fallback: true,
      }),
      login: { host: 'cache.example.org', name, password: hostilePassword },
      netrc: formatNetrcEntry('https://cache.example.org', { name, password: hostilePassword }),
      mayPush: false,
    })
  })

  test.each(['nixos', 'flake', 'github'])('%s is printed without the password, also with --push', async (form) => {
    await using work = await prepare()
    const args = ['client-config', '--format', form, '--user', 'ci', '--push', '--url', 'https://cache.example.org']
    const { code, stdout } = await runBurrow(args, { cwd: work.path })
    expect(code).toBe(0)
    expect(stdout).toContain('https://cache.example.org')
    expect(stdout).not.toContain('secret of ci')
  })

  test('a form that there is not is refused with the names of those that there are', async () => {
    await using work = await prepare()
    const { code, stderr } = await runBurrow(['client-config', '--format', 'toml'], { cwd: work.path })
    expect(code).toBe(2)
    expect(stderr).toContain('Allowed choices are text, nixos, flake, github, json.')
  })
})
