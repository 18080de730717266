/**
 * The nix-darwin module, evaluated by real Nix against stubs with nix-darwin's own types. What launchd would run is run
 * here: the script that prepares directories and logins, and the relay with the command line and environment of its
 * property list.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from '@jest/globals'

import { createScratchDir, type ScratchDir } from '../appliance/scratch-dir.ts'
import { nixInstantiate } from './nix-instantiate.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

interface Daemon {
  readonly ProgramArguments: readonly [shell: string, flag: string, script: string]
  readonly EnvironmentVariables?: Readonly<Record<string, string>>
  readonly WatchPaths?: readonly string[]
}

interface Evaluation {
  readonly warnings: readonly string[]
  readonly failures: readonly string[]
  readonly daemons: Readonly<Record<string, Daemon>>
  /** With nixpkgs' own library. */
  readonly plists: Readonly<Record<string, string>> | null
  readonly activation: string
  readonly nixSettings: Readonly<Record<string, unknown>>
  readonly users: Readonly<Record<string, unknown>>
  readonly packages: readonly string[]
}

async function evaluate(configuration: string, file = 'evaluate-darwin.nix'): Promise<Evaluation> {
  const args = ['--eval', '--strict', '--json', `test/nixos/${file}`, '--arg', 'configuration', configuration]
  return JSON.parse(await nixInstantiate(args)) as Evaluation
}

const configure = (body: string, others = '') =>
  `{ services.burrow-client = { enable = true; url = "https://cache.example.org"; publicKeys = [ "c-1:x" ]; ${body} }; ${others} }`

const client = (body: string, others?: string) => evaluate(configure(body, others))

const common = {
  UserName: '_burrow',
  GroupName: '_burrow',
  RunAtLoad: true,
  KeepAlive: true,
  Umask: 0o077,
  ExitTimeOut: 60,
  SoftResourceLimits: { Core: 0 },
  HardResourceLimits: { Core: 0 },
}

describe('services.burrow-client with nix-darwin', () => {
  test.each(['', 'relay.enable = true;', 'netrcFile = null;', 'push.watchStore = true;'])(
    'Nix gets the settings that NixOS gives it: %s',
    async (body) => {
      const here = await client(body)
      const there = await evaluate(configure(body), 'evaluate.nix')
      const others = ({ 'extra-allowed-users': _account, ...settings }: Readonly<Record<string, unknown>>) => settings
      expect(here).toMatchObject({ failures: [], warnings: [], packages: ['burrow-client'] })
      expect(others(here.nixSettings)).toEqual(others(there.nixSettings))
    },
  )

  test('a client that only pulls has no daemon and no user', async () => {
    const { daemons, users, activation } = await client('')
    expect({ daemons, users }).toEqual({
      daemons: {},
      users: { users: {}, groups: {}, knownUsers: [], knownGroups: [] },
    })
    expect(activation).not.toContain('burrow')
    expect(await evaluate('{ }')).toMatchObject({ daemons: {}, nixSettings: {}, packages: [] })
  })

  test('the relay is a daemon of a user of its own, kept alive, and its login comes from a copy', async () => {
    const { daemons, users, nixSettings } = await client('relay = { enable = true; watch = true; };')
    expect(Object.keys(daemons)).toEqual(['burrow-login', 'burrow-relay'])
    expect(daemons['burrow-relay']).toEqual({
      ...common,
      Label: 'org.nixos.burrow-relay',
      ProgramArguments: [
        '/bin/sh',
        '-c',
        expect.stringMatching(
          /^\/bin\/wait4path \/nix\/store && exec \S+\/libexec\/burrow-client relay --to https:\/\/cache\.example\.org --netrc-file \/var\/lib\/burrow-client\/netrc --watch$/,
        ),
      ],
      EnvironmentVariables: {
        HOME: '/var/lib/burrow-client/relay',
        STATE_DIRECTORY: '/var/lib/burrow-client/relay',
        PATH: expect.stringMatching(/-xz\/bin:\S+-bzip2\/bin$/),
      },
      ProcessType: 'Standard',
      StandardOutPath: '/var/log/burrow-client/relay.log',
      StandardErrorPath: '/var/log/burrow-client/relay.log',
    })
    expect(daemons['burrow-login']).toMatchObject({ RunAtLoad: true, WatchPaths: ['/etc/nix/netrc'] })
    expect(users).toMatchObject({
      users: { _burrow: { uid: 578, gid: 578, home: '/var/empty', shell: '/usr/bin/false', isHidden: true } },
      groups: { _burrow: { gid: 578 } },
      knownUsers: ['_burrow'],
      knownGroups: ['_burrow'],
    })
    expect(nixSettings).toMatchObject({ 'extra-allowed-users': ['_burrow'] })
  })

  test('another uid is possible, and a group with it', async () => {
    const { users } = await client(
      'relay.enable = true;',
      'users.users._burrow.uid = 600; users.groups._burrow.gid = 601;',
    )
    expect(users).toMatchObject({ users: { _burrow: { uid: 600, gid: 601 } }, groups: { _burrow: { gid: 601 } } })
  })

  test('a password file is copied too; a public cache needs no copy', async () => {
    const { daemons } = await client(`relay = { enable = true; user = "ben"; passwordFile = "/run/secrets/it's"; };`)
    expect(scriptOf(daemons['burrow-login']!)).toContain(
      String.raw`copy '/run/secrets/it'\''s' /var/lib/burrow-client/password`,
    )
    expect(daemons['burrow-relay']).toMatchObject({
      EnvironmentVariables: { BURROW_USER: 'ben', BURROW_PASSWORD_FILE: '/var/lib/burrow-client/password' },
    })
    expect(daemons['burrow-relay']!.ProgramArguments[2]).not.toContain('netrc')
    expect(daemons['burrow-login']!.WatchPaths).toEqual(["/run/secrets/it's"])
    expect(Object.keys((await client('netrcFile = null; relay.enable = true;')).daemons)).toEqual(['burrow-relay'])
  })

  test('a client pushes, by watching its store or by the hook', async () => {
    const watching = await client('push.watchStore = true;')
    expect(watching.daemons['burrow-watch-store']).toMatchObject({
      ...common,
      ProcessType: 'Background',
      ProgramArguments: [
        '/bin/sh',
        '-c',
        expect.stringMatching(
          / watch-store --to https:\/\/cache\.example\.org --netrc-file \/var\/lib\/burrow-client\/netrc$/,
        ),
      ],
      EnvironmentVariables: { STATE_DIRECTORY: '/var/lib/burrow-client/watch-store' },
    })
    expect(watching.nixSettings).toHaveProperty('netrc-file', '/etc/nix/netrc')
    const hooked = await client('push.postBuildHook = true;')
    expect(hooked.daemons['burrow-watch-store']!.ProgramArguments[2]).toMatch(/ --spool \/var\/spool\/burrow$/)
    expect(hooked.nixSettings).toHaveProperty('post-build-hook')
  })

  test('where nix-darwin does not manage Nix, a warning has the lines for nix.custom.conf', async () => {
    const { warnings, failures } = await client('relay.enable = true;', 'nix.enable = false;')
    expect(failures).toEqual([])
    expect(warnings).toEqual([expect.stringContaining('/etc/nix/nix.custom.conf')])
    expect(warnings[0]!.split('\n').slice(1)).toEqual([
      'extra-allowed-users = _burrow',
      'extra-substituters = http://127.0.0.1:8078',
      'extra-trusted-public-keys = c-1:x',
      'fallback = true',
      'narinfo-cache-negative-ttl = 60',
    ])
  })

  test.each([
    ['two that push', 'relay = { enable = true; watch = true; }; push.watchStore = true;', '', /keep one of them/],
    ['a login in the Nix store', 'netrcFile = "/nix/store/k";', '', /netrcFile lies in the Nix store/],
    ['a password there', 'relay.passwordFile = "/nix/store/k";', '', /passwordFile lies in the Nix store/],
    ['a hook that Nix would not run', 'push.postBuildHook = true;', 'nix.enable = false;', /needs nix\.enable/],
  ])('it refuses %s', async (_what, body, others, message) => {
    expect((await client(body, others)).failures.join()).toMatch(message)
  })

  test('it has no option for what macOS cannot do', async () => {
    await expect(client('relay.allowUids = [ 0 ];')).rejects.toMatchObject({
      stderr: expect.stringMatching(/relay\.allowUids' does not exist/),
    })
  })

  test('the example of docs/relay.md evaluates', async () => {
    const page = await readFile(`${root}docs/relay.md`, 'utf8')
    const [, example] = /### nix-darwin\n[^#]*?```nix\n(.*?)```/s.exec(page)!
    const { failures, daemons } = await evaluate(`{ ${example!.replace(/^imports = .*\n/, '')} }`)
    expect({ failures, daemons: Object.keys(daemons) }).toEqual({
      failures: [],
      daemons: ['burrow-login', 'burrow-relay'],
    })
  })
})

/** As in the stub of `pkgs.writeShellScript`: the name in the first line, then the text. */
function scriptOf({ ProgramArguments: [, , line] }: Daemon): string {
  return line.replace(/^.*\n/, '')
}

/** With directories below `dir`, the account of this test, and the machine's own coreutils. */
async function moveTo(dir: ScratchDir, text: string): Promise<string> {
  const { stdout: user } = await run('id', ['-un'])
  const { stdout: group } = await run('id', ['-gn'])
  return text
    .replaceAll(/\/var\/(?=lib|log|spool)/g, `${dir.path}/var/`)
    .replaceAll('-o _burrow', `-o ${user.trim()}`)
    .replaceAll('-g _burrow', `-g ${group.trim()}`)
    .replaceAll(/^PATH=.*$/gm, `PATH=${process.env.PATH}`)
    .replaceAll('/etc/nix/netrc', dir.file('netrc'))
}

const modeOf = async (file: string) => ((await stat(file)).mode & 0o7777).toString(8)

describe('what launchd runs', () => {
  test('burrow-login makes private directories, copies the login again after a change, and keeps it while it is missing', async () => {
    const { daemons } = await client('relay.enable = true; push.postBuildHook = true;')
    await using dir = await createScratchDir()
    const script = await moveTo(dir, scriptOf(daemons['burrow-login']!))
    const login = () => run('sh', ['-c', script], { env: {} })
    const state = dir.file('var/lib/burrow-client')
    expect((await login()).stderr).toContain(`there is no file "${dir.file('netrc')}"`)
    expect(await readdir(state)).toEqual(['relay', 'watch-store'])
    await writeFile(dir.file('netrc'), 'first', { mode: 0o600 })
    await writeFile(`${state}/password`, 'of an earlier configuration')
    expect((await login()).stderr).toBe('')
    expect(await readFile(`${state}/netrc`, 'utf8')).toBe('first')
    expect(await readdir(state)).toEqual(['netrc', 'relay', 'watch-store'])
    await writeFile(dir.file('netrc'), 'second')
    await login()
    await run('rm', [dir.file('netrc')])
    await login()
    expect(await readFile(`${state}/netrc`, 'utf8')).toBe('second')
    const modes = ['', '/netrc', '/relay', '/watch-store'].map((name) => modeOf(`${state}${name}`))
    expect(await Promise.all(modes)).toEqual(['750', '440', '700', '700'])
    expect(await modeOf(dir.file('var/log/burrow-client'))).toBe('700')
    expect(await modeOf(dir.file('var/spool/burrow'))).toBe('700')
  })

  test('the activation prepares the same, and goes on where that fails', async () => {
    const { activation } = await client('relay.enable = true;')
    expect(activation).toMatch(/burrow-client-prepare[\s\S]*\n \|\| true\n/)
  })

  test('the hook writes notes that the account may read, and follows no link', async () => {
    const { nixSettings } = await client('push.postBuildHook = true;')
    await using dir = await createScratchDir()
    const hook = String(nixSettings['post-build-hook'])
      .replace(/^.*\n/, '')
      .replaceAll('/var/spool/burrow', dir.path)
      .replaceAll(/\/nix\/store\/[^/]*-coreutils\/bin\//g, '')
    const env = { PATH: process.env.PATH, OUT_PATHS: '/nix/store/a' }
    await run('bash', ['-c', hook], { env })
    const [note] = await readdir(dir.path)
    expect(await modeOf(dir.file(note!))).toBe('644')
    await symlink('victim', dir.file('.planted'))
    await run('bash', ['-c', hook.replace(/note=.*/, 'note=planted')], { env })
    expect((await readdir(dir.path)).sort()).toEqual(['.planted', note])
  })

  test('the relay starts with its command line and nothing but its environment, and reads the copied login', async () => {
    const { daemons } = await evaluate(
      '{ services.burrow-client = { enable = true; url = "http://127.0.0.1:1"; publicKeys = [ "c-1:x" ]; relay.enable = true; }; }',
    )
    await using dir = await createScratchDir()
    await writeFile(dir.file('netrc'), 'machine 127.0.0.1 login ben password geheim', { mode: 0o600 })
    await run('sh', ['-c', await moveTo(dir, scriptOf(daemons['burrow-login']!))], { env: {} })
    const { ProgramArguments, EnvironmentVariables } = daemons['burrow-relay']!
    const [shell, flag, line] = ProgramArguments
    const program = `${process.execPath} --disable-warning=ExperimentalWarning ${root}appliance/program.ts`
    const command = (await moveTo(dir, line))
      .replace('/bin/wait4path /nix/store', 'true')
      .replace(/\S+\/libexec\/burrow-client/, program)
    const env = JSON.parse(await moveTo(dir, JSON.stringify(EnvironmentVariables))) as Record<string, string>
    const child = spawn(shell, [flag, `${command} --listen 127.0.0.1:0`], {
      cwd: '/',
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const closed = once(child, 'close')
    try {
      const [said] = (await once(createInterface(child.stdout), 'line')) as [string]
      expect(said).toMatch(/^Relaying http:\/\/127\.0\.0\.1:1\/? \(as ben\) on http:\/\/127\.0\.0\.1:\d+$/)
      expect(await readdir(dir.file('var/lib/burrow-client/relay'))).toContain('lock')
    } finally {
      child.kill('SIGTERM')
      expect(await closed).toEqual([0, null])
    }
  })

  const withNixpkgs = process.env.BURROW_TEST_NIXPKGS_LIB ? test : test.skip
  withNixpkgs('the property lists are read by another parser as they were meant', async () => {
    const { plists, daemons } = await client('relay.enable = true; push.watchStore = true;')
    expect(Object.keys(plists!)).toHaveLength(3)
    const parser = 'import json, plistlib, sys; print(json.dumps(plistlib.loads(sys.argv[1].encode())))'
    for (const [name, plist] of Object.entries(plists!)) {
      const { stdout } = await run('python3', ['-c', parser, plist])
      expect(JSON.parse(stdout)).toEqual(daemons[name])
    }
  })
})
