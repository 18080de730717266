/**
 * The NixOS modules, evaluated by real Nix against stubs of nixpkgs: options, assertions, the generated config (which
 * the real program checks) and the unit.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from '@jest/globals'

import { formatRelayService, relayEnvironment } from '../../appliance/near-end/use/relay-units.ts'
import { stopBudgets, stopMs } from '../../appliance/server/stop-budgets.ts'
import { runBurrow } from '../appliance/burrow.ts'
import { createScratchDir } from '../appliance/scratch-dir.ts'
import { nixInstantiate as nix } from './nix-instantiate.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

interface Evaluation {
  readonly warnings: readonly string[]
  readonly failures: readonly string[]
  readonly settings: Record<string, unknown>
  readonly check: string
  readonly service: {
    readonly path: readonly string[]
    readonly serviceConfig: Record<string, unknown>
    readonly restartTriggers: readonly string[]
    readonly reloadTriggers: readonly string[]
  }
  readonly commands: readonly string[]
  readonly packages: readonly string[]
  readonly sockets: Record<string, unknown>
  readonly watchStore: { readonly serviceConfig: Record<string, unknown> } | null
  readonly relay: {
    readonly serviceConfig: Record<string, string | number | boolean | readonly string[]>
    readonly environment: Record<string, string>
  } | null
  readonly tmpfiles: readonly string[]
  readonly etc: readonly string[]
  readonly nixSettings: Record<string, unknown>
  readonly firewall: { readonly allowedTCPPorts: readonly number[] } | null
}

async function evaluate(configuration: string): Promise<Evaluation> {
  return JSON.parse(
    await nix(['--eval', '--strict', '--json', 'test/nixos/evaluate.nix', '--arg', 'configuration', configuration]),
  ) as Evaluation
}

const client = (body: string) =>
  evaluate(
    `{ services.burrow-client = { enable = true; url = "https://cache.example.org"; publicKeys = [ "c-1:x" ]; ${body} }; }`,
  )

const burrow = (body: string) =>
  evaluate(
    `{ services.burrow = { enable = true; settings.signing.keyFiles = [ "$CREDENTIALS_DIRECTORY/k" ]; credentials.k = "/keys/k"; ${body} }; }`,
  )

const refusalOf = (body: string) =>
  burrow(body).then(
    ({ failures }) => failures.join('\n'),
    (error: { stderr: string }) => error.stderr,
  )

async function checkConfig(settings: object): Promise<{ code: number | null; stderr: string }> {
  await using dir = await createScratchDir()
  await writeFile(dir.file('burrow.json'), JSON.stringify(settings), { mode: 0o600 })
  return await runBurrow(['--config', dir.file('burrow.json'), 'check-config', '--no-env'], { cwd: dir.path })
}

describe('services.burrow', () => {
  test('a machine that does not enable it gets nothing', async () => {
    expect(await evaluate('{ }')).toMatchObject({
      failures: [],
      warnings: [],
      packages: [],
      service: null,
      settings: null,
    })
  })

  test('every option ends up in a config that the program takes', async () => {
    const { failures, warnings, settings, check } = await burrow(`
      settings = { listen = "unix:/run/burrow/burrow.sock"; priority = 20; larder.maxBytes = "5 GiB"; log.level = "debug"; };
      users.ben = { passwordHash = "$argon2id$v=19$m=65536,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$qf2ZkWnE9k4kzBgTtWb7cQ5yLZ0sQK1i0o9xq3m8d7w"; expires = "2030-12-31T23:59:59Z"; };
      users.ci = { passwordFile = "/keys/ci"; access = [ "pull" "push" ]; };
      tunnel = { mode = "credentials"; credentialsFile = "/keys/t.json"; hostname = "cache.example.org"; protocol = "http2"; region = "us"; edgeIpVersion = "4"; gracePeriod = "1m"; logLevel = "warn"; haConnections = 2; extraArgs = [ "--label" "x" ]; };`)
    expect({ failures, warnings }).toEqual({ failures: [], warnings: [] })
    expect(settings).toEqual({
      listen: 'unix:/run/burrow/burrow.sock',
      operator: 'unix:/run/burrow/operator.sock',
      public: false,
      priority: 20,
      state: { dir: expect.stringMatching(/^\$\{STATE_DIRECTORY:-\/var\/lib\/burrow\}$/) },
      larder: {
        dir: expect.stringMatching(/^\$\{CACHE_DIRECTORY:-\/var\/cache\/burrow\}\/larder$/),
        maxBytes: '5 GiB',
      },
      log: { level: 'debug' },
      signing: { keyFiles: ['$CREDENTIALS_DIRECTORY/k'] },
      users: [
        {
          name: 'ben',
          access: ['pull'],
          passwordHash: expect.stringContaining('$argon2id$'),
          expires: '2030-12-31T23:59:59Z',
        },
        { name: 'ci', access: ['pull', 'push'], passwordFile: '$CREDENTIALS_DIRECTORY/password-ci' },
      ],
      tunnel: {
        mode: 'credentials',
        credentialsFile: '$CREDENTIALS_DIRECTORY/tunnel-credentials',
        hostname: 'cache.example.org',
        protocol: 'http2',
        region: 'us',
        edgeIpVersion: '4',
        gracePeriod: '1m',
        logLevel: 'warn',
        haConnections: 2,
        extraArgs: ['--label', 'x'],
        binary: expect.stringMatching(/cloudflared\/bin\/cloudflared$/),
      },
    })
    expect(check).toContain('check-config --no-env')
    expect(await checkConfig(settings)).toMatchObject({ code: 0 })
  })

  test('depot, push and upstreams come through the settings, a secret of an upstream only by a credential', async () => {
    const key = 'a-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
    const { failures, settings } = await burrow(`
      users.ci = { passwordFile = "/keys/ci"; access = [ "pull" "push" ]; };
      settings = {
        depot = { maxBytes = "100 GiB"; keepUnusedFor = "90d"; };
        push = { requireSignatures = [ "${key}" ]; };
        upstreams = [ { url = "https://a.example.org"; publicKeys = [ "${key}" ]; user = "office"; passwordFile = "$CREDENTIALS_DIRECTORY/a"; } ];
      };
      credentials.a = "/keys/a";`)
    expect(failures).toEqual([])
    expect(settings).toMatchObject({
      depot: { maxBytes: '100 GiB' },
      push: { requireSignatures: [key] },
      upstreams: [{ url: 'https://a.example.org' }],
    })
    expect(await checkConfig(settings)).toMatchObject({ code: 0 })
    const shown = `users.b.passwordFile = "/k"; settings.upstreams = [ { url = "https://a.b"; publicKeys = [ "${key}" ]; user = "x"; passwordFile = "/nix/store/x"; } ];`
    expect(await refusalOf(shown)).toContain('names a secret that lies in the Nix store')
  })

  test('a config outside of the Nix store takes the place of the settings', async () => {
    const { failures, warnings, service, commands, etc } = await evaluate(
      '{ services.burrow = { enable = true; configFile = "/etc/private/burrow.json"; credentials.k = "/keys/k"; }; }',
    )
    expect({ failures, warnings, etc }).toEqual({ failures: [], warnings: [], etc: [] })
    expect(service.serviceConfig).toMatchObject({
      ExecStart: ['', expect.stringMatching(/ --config \/etc\/private\/burrow\.json serve$/)],
      LoadCredential: ['k:/keys/k'],
    })
    expect([service.reloadTriggers, service.restartTriggers]).toEqual([[], []])
    expect(commands.join()).toContain('BURROW_CONFIG-/etc/private/burrow.json')
    expect(commands.join()).toContain('STATE_DIRECTORY-/var/lib/burrow')
    const refused = (body: string) =>
      evaluate(`{ services.burrow = { enable = true; ${body} }; }`).then(({ failures: all }) => all.join())
    expect(await refused('configFile = "/c.json"; users.b.passwordFile = "/k";')).toContain(
      'takes the place of services.burrow.users',
    )
    expect(await refused('configFile = "/nix/store/c.json";')).toContain('configFile lies in the Nix store')
  })

  test('a larder that is off stays off, and directories that are set stay', async () => {
    const { settings } = await burrow(
      'users.ben.passwordFile = "/keys/ben"; settings = { larder = false; state.dir = "/srv/state"; };',
    )
    expect(settings).toMatchObject({ larder: false, state: { dir: '/srv/state' } })
    expect(await checkConfig(settings)).toMatchObject({ code: 0 })
  })

  test('no operator’s listener stays none', async () => {
    const { settings } = await burrow('users.ben.passwordFile = "/keys/ben"; settings.operator = null;')
    expect(settings).toHaveProperty('operator', null)
    expect(await checkConfig(settings)).toMatchObject({ code: 0 })
  })

  test('directories of other places are made writable for the service, its own need no word', async () => {
    const other = await burrow(
      'users.ben.passwordFile = "/k"; settings = { state.dir = "/srv/state"; larder.dir = "/srv/larder"; depot.dir = "/srv/depot"; };',
    )
    expect(other.service.serviceConfig.ReadWritePaths).toEqual(['/srv/state', '/srv/larder', '/srv/depot'])
    expect((await burrow('users.ben.passwordFile = "/k";')).service.serviceConfig).not.toHaveProperty('ReadWritePaths')
  })

  test('the service may ask the Nix daemon where not everybody may, and systemd listens for it on request', async () => {
    const { nixSettings, sockets } = await burrow('users.ben.passwordFile = "/k"; socketActivation = true;')
    expect(nixSettings).toMatchObject({ 'extra-allowed-users': ['burrow'] })
    expect(sockets).toEqual({ burrow: { wantedBy: ['sockets.target'] } })
  })

  test('a setting that is none fails the check at build time', async () => {
    const { settings } = await burrow('users.ben.passwordFile = "/keys/ben"; settings.colour = "blue";')
    expect(await checkConfig(settings)).toMatchObject({ code: 78, stderr: expect.stringContaining('/colour') })
  })

  test('users can be added to the running service, unless mutableUsers is false', async () => {
    const empty = await burrow('')
    expect(empty.settings).toMatchObject({ users: [] })
    expect(empty.settings).not.toHaveProperty('mutableUsers')
    expect(await checkConfig(empty.settings)).toMatchObject({ code: 0 })
    const fixed = await burrow('users.ben.passwordFile = "/keys/ben"; mutableUsers = false;')
    expect(fixed.settings).toMatchObject({ mutableUsers: false })
    expect(await checkConfig(fixed.settings)).toMatchObject({ code: 0 })
    const free = await burrow('users.ben.passwordFile = "/keys/ben";')
    expect(fixed.service.restartTriggers).toEqual(free.service.restartTriggers)
  })

  test('secrets reach the service as credentials and stay out of the settings', async () => {
    const { service, settings } = await burrow(
      'users.ben.passwordFile = "/keys/ben"; environmentFile = "/keys/env"; tunnel = { mode = "token"; tokenFile = "/keys/token"; };',
    )
    expect(service.serviceConfig).toMatchObject({
      LoadCredential: ['k:/keys/k', 'password-ben:/keys/ben', 'tunnel-token:/keys/token'],
      EnvironmentFile: '/keys/env',
    })
    expect(JSON.stringify(settings)).not.toContain('/keys/')
  })

  test('the unit and its hardening are the package’s: the module sets only what depends on the configuration', async () => {
    const { packages, service } = await burrow('users.ben.passwordFile = "/keys/ben";')
    expect(packages).toEqual(['burrow'])
    expect(Object.keys(service.serviceConfig)).toEqual(['ExecStart', 'LoadCredential'])
    expect(service.serviceConfig.ExecStart).toEqual([
      '',
      expect.stringMatching(/bin\/burrow --config \/etc\/burrow\/burrow\.json serve$/),
    ])
  })

  test('a grace period longer than the unit allows for is granted by systemd too', async () => {
    const { service } = await burrow(
      'users.ben.passwordFile = "/keys/ben"; tunnel = { mode = "token"; tokenFile = "/t"; gracePeriod = "3m"; };',
    )
    const longestMs = stopMs - stopBudgets.tunnelGraceMs + 180_000
    expect(Number(service.serviceConfig.TimeoutStopSec) * 1000).toBeGreaterThanOrEqual(longestMs + 10_000)
  })

  test('another user is read by a reload, any other setting takes a restart', async () => {
    const before = await burrow('users.ben.passwordHash = "$argon2id$a";')
    const user = await burrow('users.ben.passwordHash = "$argon2id$b";')
    const setting = await burrow('users.ben.passwordHash = "$argon2id$a"; settings.priority = 7;')
    expect(user.service.restartTriggers).toEqual(before.service.restartTriggers)
    expect(setting.service.restartTriggers).not.toEqual(before.service.restartTriggers)
    expect(before.service.reloadTriggers).toHaveLength(1)
  })

  test('root at a shell gets the config and the credentials of the running service', async () => {
    const { commands } = await burrow('users.ben.passwordFile = "/keys/ben";')
    expect(commands.join('\n')).toMatch(/^export BURROW_CONFIG="\$\{BURROW_CONFIG-\/etc\/burrow\/burrow\.json\}"$/m)
    expect(commands.join('\n')).toMatch(
      /^export CREDENTIALS_DIRECTORY="\$\{CREDENTIALS_DIRECTORY-\/run\/credentials\/burrow\.service\}"$/m,
    )
  })

  test.each<[what: string, body: string, message: RegExp]>([
    [
      'nobody as user, for ever',
      'mutableUsers = false;',
      /services\.burrow\.users is empty and services\.burrow\.mutableUsers is false: add a user, or set services\.burrow\.settings\.public/,
    ],
    [
      'users of a public cache',
      'settings.public = true; users.b.passwordFile = "/k";',
      /settings\.public is true although/,
    ],
    ['a user without password', 'users.ben = { };', /services\.burrow\.users\.ben: set exactly one/],
    [
      'a user with two',
      'users.ben = { passwordFile = "/k"; passwordHash = "x"; };',
      /services\.burrow\.users\.ben: set exactly one/,
    ],
    [
      'a token tunnel without token',
      'users.b.passwordFile = "/k"; tunnel.mode = "token";',
      /set services\.burrow\.tunnel\.tokenFile/,
    ],
    [
      'a credentials tunnel without host',
      'users.b.passwordFile = "/k"; tunnel = { mode = "credentials"; credentialsFile = "/k"; };',
      /tunnel\.hostname/,
    ],
    [
      'a quick tunnel with a host',
      'users.b.passwordFile = "/k"; tunnel = { mode = "quick"; hostname = "a.b"; };',
      /hostname cannot be chosen/,
    ],
    [
      'two tunnels',
      'users.b.passwordFile = "/k"; tunnel = { mode = "quick"; }; settings.tunnel = "quick";',
      /both describe the tunnel/,
    ],
    [
      'a secret in the Nix store',
      'users.b.passwordFile = "/nix/store/abc-k";',
      /"password-b" of services\.burrow lies in the Nix store/,
    ],
    [
      'a secret that is a store path',
      'users.b.passwordFile = "/nix/store/00000000000000000000000000000000-k";',
      /users\.b\.passwordFile' is not of type/,
    ],
    [
      'an environment in the Nix store',
      'users.b.passwordFile = "/k"; environmentFile = "/nix/store/abc-e";',
      /environmentFile lies in the Nix store/,
    ],
    [
      'a secret of the settings in the Nix store',
      'users.b.passwordFile = "/k"; settings.tunnel = { mode = "token"; tokenFile = "/nix/store/abc-k"; };',
      /settings names a secret that lies in the Nix store.*tokenFile/,
    ],
    [
      'a password file of the settings that would be copied there',
      'settings.users = [ { name = "a"; passwordFile = ./default.nix; } ];',
      /settings names a secret that lies in the Nix store.*passwordFile/,
    ],
    [
      'a user whose name is no credential',
      'users."a:b".passwordFile = "/k";',
      /users\."a:b": the name becomes that of a systemd credential/,
    ],
    [
      'a credential whose name is a user’s',
      'users.b.passwordFile = "/k"; credentials.password-b = "/x";',
      /credentials\."password-b": choose a name/,
    ],
    [
      'a listener for the world',
      'users.b.passwordFile = "/k"; settings.listen = "0.0.0.0:80";',
      /services\.burrow\.settings\.listen' is not of type/,
    ],
    [
      'an option that is none',
      'users.b.passwordFile = "/k"; openFirewall = true;',
      /option `services\.burrow\.openFirewall' does not exist/,
    ],
    [
      'an access that is none',
      'users.b = { passwordFile = "/k"; access = [ "write" ]; };',
      /users\.b\.access\..*' is not of type/,
    ],
  ])('it refuses %s and names the option', async (_what, body, message) => {
    expect(await refusalOf(body)).toMatch(message)
  })

  test.each<[what: string, configuration: string, message: RegExp]>([
    [
      'a quick tunnel',
      'users.b.passwordFile = "/k"; tunnel.mode = "quick"; settings.signing.keyFiles = [ "k" ];',
      /tunnel\.mode is "quick"/,
    ],
    [
      'a password in the Nix store',
      'settings.users = [ "ben:secret" ]; settings.signing.keyFiles = [ "k" ];',
      /settings\.users holds a password in clear/,
    ],
    ['a key that only the state directory has', 'users.b.passwordFile = "/k";', /signing\.keyFiles is not set/],
    [
      'a cache that has no users yet',
      'settings.signing.keyFiles = [ "k" ];',
      /users is empty: everyone is refused until a user is added with `burrow user add NAME`/,
    ],
  ])('it warns of %s', async (_what, body, message) => {
    const { warnings, failures } = await evaluate(`{ services.burrow = { enable = true; ${body} }; }`)
    expect({ warnings, failures }).toEqual({ warnings: [expect.stringMatching(message)], failures: [] })
  })
})

describe('services.burrow-client', () => {
  test('a client trusts, falls back and waits as suits a tunnel', async () => {
    const { nixSettings, failures } = await evaluate(
      '{ services.burrow-client = { enable = true; url = "https://cache.example.org"; publicKeys = [ "c-1:x" ]; }; }',
    )
    expect(failures).toEqual([])
    expect(nixSettings).toMatchObject({
      'extra-substituters': ['https://cache.example.org'],
      'extra-trusted-public-keys': ['c-1:x'],
      'netrc-file': '/etc/nix/netrc',
      fallback: true,
    })
  })

  test('what the machine’s own configuration says wins over the defaults', async () => {
    const { nixSettings } = await evaluate(
      '{ services.burrow-client = { enable = true; url = "https://a.b"; publicKeys = [ "x" ]; }; nix.settings = { fallback = false; connect-timeout = 30; netrc-file = "/run/netrc"; }; }',
    )
    expect(nixSettings).toMatchObject({
      fallback: false,
      'connect-timeout': 30,
      'netrc-file': '/run/netrc',
      'download-attempts': 7,
    })
  })

  test('with a relay Nix asks that, without a login, and the service has the login', async () => {
    const { nixSettings, relay, sockets, failures } = await client('relay.enable = true;')
    expect(failures).toEqual([])
    expect(nixSettings).toEqual({
      'extra-substituters': ['http://127.0.0.1:8078'],
      'extra-trusted-public-keys': ['c-1:x'],
      'extra-allowed-users': ['burrow-relay'],
      'narinfo-cache-negative-ttl': 60,
      fallback: true,
    })
    expect(sockets).toEqual({
      'burrow-relay': expect.objectContaining({ wantedBy: ['sockets.target'], listenStreams: ['127.0.0.1:8078'] }),
    })
    expect(relay?.serviceConfig).toMatchObject({
      ExecStart: expect.stringMatching(
        /libexec\/burrow-client relay --to https:\/\/cache\.example\.org --netrc-file %d\/netrc --exit-idle 5m$/,
      ),
      LoadCredential: ['netrc:/etc/nix/netrc'],
    })
    expect((await client('')).relay).toBeNull()
  })

  test('a relay pushes, takes a password file, and serves some users only', async () => {
    const { nixSettings, relay, failures } = await client(
      'push.postBuildHook = true; relay = { enable = true; user = "ci"; passwordFile = "/keys/ci"; allowUids = [ 0 1000 ]; };',
    )
    expect(failures).toEqual([])
    expect(nixSettings).toHaveProperty('post-build-hook')
    expect(relay).toMatchObject({
      environment: { ...relayEnvironment, BURROW_USER: 'ci', BURROW_PASSWORD_FILE: '%d/password' },
      serviceConfig: {
        ExecStart: expect.stringMatching(
          / relay --to https:\/\/cache\.example\.org --exit-idle 5m --allow-uid 0 1000$/,
        ),
        LoadCredential: ['password:/keys/ci'],
      },
    })
    expect((await client('relay = { enable = true; watch = true; };')).relay?.serviceConfig.ExecStart).toMatch(
      / --watch$/,
    )
  })

  test.each([
    ['two that push', 'relay = { enable = true; watch = true; }; push.watchStore = true;', /keep one of them/],
    ['a password without a user', 'relay = { enable = true; passwordFile = "/k"; };', /go together/],
    [
      'a password in the Nix store',
      'relay = { enable = true; user = "a"; passwordFile = "/nix/store/k"; };',
      /lies in the Nix store/,
    ],
  ])('a relay refuses %s', async (_what, body, message) => {
    expect((await client(body)).failures.join()).toMatch(message)
  })

  test('the relay’s service is that of burrow use --relay', async () => {
    const { relay } = await client('relay.enable = true;')
    const toText = (value: unknown) => (value === true ? 'yes' : String(value))
    const module = Object.entries(relay!.serviceConfig).flatMap(([name, value]) =>
      [value].flat().map((each) => `${name}=${toText(each)}`),
    )
    const unit = formatRelayService({
      url: 'https://cache.example.org',
      netrcFile: '/etc/nix/netrc',
      isWatching: false,
      command: ['/usr/bin/burrow'],
      isSystem: true,
    })
    const service = unit.split(/^\[\w+\]\n/m)[2]!
    const lines = service.split('\n').filter((line) => /^\w/.test(line))
    const others = (line: string) => !/^(?:ExecStart|Environment)=/.test(line)
    expect(module.filter(others).sort()).toEqual(lines.filter(others).sort())
    expect(relay?.environment).toEqual(relayEnvironment)
  })

  test('a client pushes what it builds, by watching its store or by a hook that never fails a build', async () => {
    expect((await client('')).watchStore).toBeNull()
    const watching = await client('push.watchStore = true;')
    expect(watching.watchStore?.serviceConfig.ExecStart).toMatch(
      /\/bin\/burrow'? '?watch-store'? '?--to'? '?https:\/\/cache\.example\.org'? '?--netrc-file'? '?\/etc\/nix\/netrc'?$/,
    )
    expect([watching.nixSettings['post-build-hook'], watching.tmpfiles]).toEqual([undefined, []])
    const hooked = await client('push.postBuildHook = true;')
    expect(hooked.watchStore?.serviceConfig.ExecStart).toMatch(/--spool'? '?\/var\/spool\/burrow'?$/)
    expect(hooked.tmpfiles).toEqual(['d /var/spool/burrow 0700 root root -'])
    const script = String(hooked.nixSettings['post-build-hook'])
    expect(script).toMatch(/exit 0\n$/)
    expect((await client('push = { watchStore = true; postBuildHook = true; };')).failures).toEqual([
      expect.stringContaining('keep one of them'),
    ])
  })

  test('the hook leaves a note for each build, whole or not at all, and ends with 0 where it cannot', async () => {
    const { nixSettings } = await evaluate(
      '{ services.burrow-client = { enable = true; url = "https://a.b"; publicKeys = [ "x" ]; push.postBuildHook = true; }; }',
    )
    await using dir = await createScratchDir()
    const script = String(nixSettings['post-build-hook'])
      .replace(/^.*\n/, '')
      .replaceAll('/var/spool/burrow', dir.file('spool'))
      .replaceAll(/\/nix\/store\/[^/]*-coreutils\/bin\//g, '')
    await writeFile(dir.file('hook'), script)
    const hook = () =>
      run('sh', [dir.file('hook')], {
        env: { PATH: process.env.PATH, OUT_PATHS: '/nix/store/a /nix/store/b', DRV_PATH: '/nix/store/c.drv' },
      })
    // The folder is not there.
    await hook()
    await mkdir(dir.file('spool'))
    await hook()
    await hook()
    const notes = await readdir(dir.file('spool'))
    expect(notes).toHaveLength(2)
    expect(notes.filter((name) => name.startsWith('.'))).toEqual([])
    expect(await readFile(`${dir.file('spool')}/${notes[0]}`, 'utf8')).toBe('/nix/store/a /nix/store/b\n')
  })

  test('a client without keys is refused, and so is a password in the URL', async () => {
    const { failures } = await evaluate(
      '{ services.burrow-client = { enable = true; url = "https://a.b"; publicKeys = [ ]; }; }',
    )
    expect(failures).toEqual([expect.stringContaining('services.burrow-client.publicKeys is empty')])
    const evaluation = evaluate(
      '{ services.burrow-client = { enable = true; url = "https://a:b@c.d"; publicKeys = [ "x" ]; }; }',
    )
    await expect(evaluation).rejects.toMatchObject({ stderr: expect.stringContaining('services.burrow-client.url') })
  })
})

describe('the rest of nixos/', () => {
  test('the demo machine evaluates: a cache behind a tunnel, and no open port', async () => {
    const { failures, settings, firewall } = JSON.parse(
      await nix([
        '--eval',
        '--strict',
        '--json',
        'test/nixos/evaluate.nix',
        '--arg',
        'modules',
        '[ ./nixos/demo/configuration.nix ]',
      ]),
    ) as Evaluation
    expect({ failures, ports: firewall?.allowedTCPPorts }).toEqual({ failures: [], ports: [] })
    expect(await checkConfig(settings)).toMatchObject({ code: 0 })
  })

  test('the machine to try out needs no tunnel and no secret, and one can log in to it', async () => {
    const evaluation = JSON.parse(
      await nix([
        '--eval',
        '--strict',
        '--json',
        'test/nixos/evaluate.nix',
        '--arg',
        'modules',
        '[ ./nixos/demo-vm.nix ]',
      ]),
    ) as Evaluation & { rootPassword: string | null }
    expect(evaluation).toMatchObject({
      failures: [],
      rootPassword: 'burrow',
      service: { serviceConfig: { LoadCredential: [] } },
    })
    expect(await checkConfig(evaluation.settings)).toMatchObject({ code: 0 })
  })

  test('the template, copied elsewhere, evaluates with the module that its flake gives it', async () => {
    await using dir = await createScratchDir()
    await cp(`${root}nixos/demo`, dir.file('machine'), { recursive: true })
    const expression = `let
      burrow = { nixosModules.default = ${root}nixos/module.nix; overlays.default = _: _: { }; };
      nixpkgs.lib.nixosSystem = system: system;
      machine = ((import ${dir.file('machine/flake.nix')}).outputs { inherit nixpkgs burrow; }).nixosConfigurations.burrow;
      isOverlay = module: builtins.isAttrs module && module ? nixpkgs;
    in import ./test/nixos/evaluate.nix { modules = builtins.filter (module: !(isOverlay module)) machine.modules; }`
    const { failures, settings } = JSON.parse(
      await nix(['--eval', '--strict', '--json', '-E', expression]),
    ) as Evaluation
    expect(failures).toEqual([])
    expect(await checkConfig(settings)).toMatchObject({ code: 0 })
  })

  test('the machines of the VM test evaluate: a config that the program takes, and no option of nixpkgs, which such tests may not set', async () => {
    const expression = `let
      pkgs = import ./test/nixos/stub-pkgs.nix;
      cache = (import ./nixos/vm-test.nix { inherit pkgs; }).nodes.cache { inherit pkgs; };
    in { names = builtins.attrNames cache; inherit (import ./test/nixos/evaluate.nix { configuration = { inherit (cache) services; }; }) settings failures; }`
    const { names, settings, failures } = JSON.parse(
      await nix(['--eval', '--strict', '--json', '-E', expression]),
    ) as Evaluation & { names: string[] }
    expect(names).not.toContain('nixpkgs')
    expect(failures).toEqual([])
    expect(await checkConfig(settings)).toMatchObject({ code: 0 })
  })

  test('the package takes what the lock file says (npm run nix-hashes), and Node 24', async () => {
    const { lockSha256 } = JSON.parse(await readFile(`${root}nixos/dependencies.json`, 'utf8')) as {
      lockSha256: string
    }
    const lock = await readFile(`${root}package-lock.json`)
    expect(lockSha256).toBe(createHash('sha256').update(lock).digest('hex'))
    const expression =
      'let pkgs = import ./test/nixos/stub-pkgs.nix; p = import ./default.nix { inherit pkgs; }; in [ p.version p.node_modules.outputHash p.installPhase ]'
    const [version, hash, install] = JSON.parse(await nix(['--eval', '--strict', '--json', '-E', expression])) as [
      string,
      string,
      string,
    ]
    expect(version).toBe((JSON.parse(await readFile(`${root}package.json`, 'utf8')) as { version: string }).version)
    expect(hash).toMatch(/^[0-9a-z]{52}$/)
    expect(install).toContain('nodejs-slim/bin/node')
  })

  test('the flake offers package, overlay, modules, dev shell and checks', async () => {
    const expression = `let
      pkgs = import ./test/nixos/stub-pkgs.nix;
      outputs = (import ./flake.nix).outputs { self = outputs; nixpkgs = { lib = pkgs.lib // { nixosSystem = system: system; }; legacyPackages = { x86_64-linux = pkgs // { system = "x86_64-linux"; }; aarch64-linux = pkgs // { system = "aarch64-linux"; }; aarch64-darwin = pkgs; }; }; };
    in {
      inherit (outputs.packages.x86_64-linux.default) pname;
      overlay = (outputs.overlays.default pkgs pkgs).burrow.pname;
      modules = builtins.attrNames outputs.nixosModules;
      darwin = { modules = builtins.attrNames outputs.darwinModules; exists = builtins.pathExists outputs.darwinModules.default; packages = builtins.mapAttrs (_: made: builtins.mapAttrs (_: package: package.pname) made) { inherit (outputs.packages) aarch64-darwin; }; };
      shell = outputs.devShells.aarch64-linux.default.type;
      vm = builtins.attrNames outputs.checks.x86_64-linux.vm.nodes;
      demo = map (name: builtins.length outputs.nixosConfigurations.\${name}.modules) (builtins.attrNames outputs.nixosConfigurations);
      names = builtins.attrNames outputs.nixosConfigurations;
      template = builtins.pathExists (outputs.templates.default.path + "/flake.nix");
    }`
    expect(JSON.parse(await nix(['--eval', '--strict', '--json', '-E', expression]))).toEqual({
      pname: 'burrow',
      overlay: 'burrow',
      modules: ['burrow', 'client', 'default'],
      darwin: {
        modules: ['client', 'default'],
        exists: true,
        packages: {
          'aarch64-darwin': {
            'burrow-client': 'burrow-client',
            'burrow-push': 'burrow-push',
            default: 'burrow-client',
          },
        },
      },
      shell: 'derivation',
      vm: ['cache', 'client'],
      demo: [2],
      // No machine with guessed disks.
      names: ['demo-vm'],
      template: true,
    })
  })

  test('every Nix file parses', async () => {
    const dirs = ['.', 'nixos', 'nixos/demo', 'test/nixos', 'test/fixtures']
    const files = (
      await Promise.all(dirs.map(async (dir) => (await readdir(`${root}${dir}`)).map((name) => `${dir}/${name}`)))
    ).flat()
    const nixFiles = files.filter((file) => file.endsWith('.nix'))
    expect(nixFiles.length).toBeGreaterThan(7)
    await nix(['--parse', ...nixFiles])
  })
})
