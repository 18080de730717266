// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the config's own syntax
import { chmod, writeFile } from 'node:fs/promises'
import { describe, expect, test } from '@jest/globals'

import { Complaint } from '../../../appliance/complaint.ts'
import { checkConfigWithoutEnv, type LoadedConfig, loadConfig } from '../../../appliance/config/load-config.ts'
import { createScratchDir } from '../scratch-dir.ts'

type Env = Record<string, string>
const homeDir = '/home/ana'
const hash = '$argon2id$v=19$m=65536,t=2,p=1$mnOtjV1I0RbCnSEXP/yfmw$vBHm9xzJz9hltlSmgB1Y+M8hB6kJAiOiQjnRqRoG6dE'

async function load(content: unknown, env: Env = {}): Promise<LoadedConfig> {
  await using dir = await createScratchDir()
  await writeFile(dir.file('burrow.json'), typeof content === 'string' ? content : JSON.stringify(content), {
    mode: 0o600,
  })
  return loadConfig({ machine: { env, workingDir: dir.path, homeDir } })
}

async function complaintOf(work: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof work === 'function' ? work() : work)
  } catch (error) {
    if (error instanceof Complaint && error.code === 'config') return error.message
    throw error
  }
  throw new Error('Nothing was wrong')
}

const problemsOf = (content: unknown, env: Env = {}) => complaintOf(load(content, env))

describe('loadConfig', () => {
  test('loadConfig without a file gives the defaults and a user to be made', () => {
    const { config } = loadConfig({ machine: { env: {}, workingDir: '/', homeDir } })
    expect(config).toMatchObject({
      file: undefined,
      listen: { kind: 'tcp', host: '127.0.0.1', port: 8080 },
      operator: { address: { kind: 'unix', path: '/home/ana/.local/state/burrow/operator.sock' }, isDefault: true },
      tunnel: { mode: 'quick', isOptional: true, secret: { kind: 'none' }, protocol: 'http2', graceMs: 30_000 },
      access: { kind: 'generated' },
      priority: 50,
      wantMassQuery: true,
      store: {
        dir: '/nix/store',
        realDir: '/nix/store',
        database: '/nix/var/nix/db/db.sqlite',
        logDir: '/nix/var/log/nix',
        daemonSocket: '/nix/var/nix/daemon-socket/socket',
      },
      compression: { type: 'zstd', level: 3 },
      larder: { dir: '/home/ana/.local/state/burrow/larder', maxBytes: 20 * 2 ** 30 },
      state: { dir: '/home/ana/.local/state/burrow' },
      indexPage: true,
      edgeCache: 'deny',
    })
  })

  test.each<[Env, string]>([
    [{ STATE_DIRECTORY: '/var/lib/a:/var/lib/b', XDG_STATE_HOME: '/xdg' }, '/var/lib/a'],
    [{ STATE_DIRECTORY: '', XDG_STATE_HOME: '/xdg' }, '/xdg/burrow'],
    [{ XDG_STATE_HOME: 'relative' }, '/home/ana/.local/state/burrow'],
  ])('loadConfig finds the state directory in %j', (env, wanted) => {
    expect(loadConfig({ machine: { env, workingDir: '/', homeDir } }).config.state.dir).toBe(wanted)
  })

  test('loadConfig puts the larder into $CACHE_DIRECTORY', () => {
    expect(
      loadConfig({ machine: { env: { CACHE_DIRECTORY: '/var/cache/burrow' }, workingDir: '/', homeDir } }).config.larder
        ?.dir,
    ).toBe('/var/cache/burrow/larder')
  })

  test('loadConfig derives database, logs and socket of a scratch store from where its files lie', async () => {
    const { config } = await load({ users: ['a:b'], store: { realDir: '/mnt/s1/nix/store/' } })
    expect(config.store).toEqual({
      dir: '/nix/store',
      realDir: '/mnt/s1/nix/store',
      stateDir: '/mnt/s1/nix/var/nix',
      database: '/mnt/s1/nix/var/nix/db/db.sqlite',
      logDir: '/mnt/s1/nix/var/log/nix',
      daemonSocket: '/mnt/s1/nix/var/nix/daemon-socket/socket',
    })
    expect((await load({ users: ['a:b'], store: { daemonSocket: null } })).config.store.daemonSocket).toBeUndefined()
  })

  test('loadConfig reads users in every form', async () => {
    const users = [
      'ben:pa:ss',
      { name: 'ana', passwordHash: hash, access: ['pull', 'admin'], expires: '2030-01-01T00:00:00+01:00' },
      { name: 'ci', passwordFile: 'ci.txt' },
      { name: 'x', password: '$PW' },
    ]
    const { config } = await load({ users }, { PW: 'a"b' })
    if (config.access.kind !== 'users') throw new Error(config.access.kind)
    expect(config.access.users).toMatchObject([
      { name: 'ben', secret: { kind: 'plain', password: 'pa:ss' }, access: ['pull'] },
      {
        name: 'ana',
        secret: { kind: 'argon2id', hash },
        access: ['pull', 'admin'],
        expires: new Date('2029-12-31T23:00:00Z'),
      },
      { name: 'ci', secret: { kind: 'file', file: expect.stringMatching(/^\/.*\/ci\.txt$/) } },
      { name: 'x', secret: { kind: 'plain', password: 'a"b' } },
    ])
  })

  test('loadConfig takes the file of --config, else $BURROW_CONFIG, else burrow.json', async () => {
    await using dir = await createScratchDir()
    for (const [name, priority] of [
      ['burrow.json', 1],
      ['env.json', 2],
      ['flag.json', 3],
    ] as const) {
      await writeFile(dir.file(name), JSON.stringify({ public: true, priority }))
    }
    const priorityOf = (env: Env, file?: string) =>
      loadConfig({ machine: { env, workingDir: dir.path, homeDir }, file }).config.priority
    expect([
      priorityOf({}),
      priorityOf({ BURROW_CONFIG: '' }),
      priorityOf({ BURROW_CONFIG: dir.file('env.json') }),
      priorityOf({ BURROW_CONFIG: 'env.json' }, 'flag.json'),
    ]).toEqual([1, 1, 2, 3])
  })

  test('loadConfig lets --listen win over the file', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('burrow.json'), '\ufeff{"public": true, "listen": "127.0.0.1:1"}')
    expect(
      loadConfig({ machine: { env: {}, workingDir: dir.path, homeDir }, overrides: { listen: '[::1]:2' } }).config
        .listen,
    ).toEqual({
      kind: 'tcp',
      host: '::1',
      port: 2,
    })
  })

  test('loadConfig returns what nobody can change', async () => {
    const { config } = await load({ users: ['a:b'] })
    expect(Object.isFrozen(config) && Object.isFrozen(config.store) && Object.isFrozen(config.limits)).toBe(true)
  })

  test('loadConfig warns of a file with passwords that others can read', async () => {
    await using dir = await createScratchDir()
    const file = dir.file('burrow.json')
    await writeFile(file, JSON.stringify({ users: ['a:long enough'] }))
    await chmod(file, 0o644)
    const warningsNow = () =>
      loadConfig({ machine: { env: { PW: 'long enough' }, workingDir: dir.path, homeDir } }).warnings
    expect(warningsNow()).toEqual([expect.stringContaining('chmod 600')])
    await writeFile(
      file,
      JSON.stringify({
        users: [
          { name: 'a', password: '$PW' },
          { name: 'b', passwordHash: hash },
        ],
      }),
    )
    expect(warningsNow()).toEqual([])
  })
})

describe('loadConfig refuses', () => {
  test.each<[what: string, content: unknown, message: RegExp]>([
    [
      'a missing user list',
      {},
      /the file \(line 1\) names no users; add a user, say "users": \[\] to add users .* or "public": true/,
    ],
    [
      'an empty user list to which none can be added',
      { users: [], mutableUsers: false },
      /\/users .*is empty, and "mutableUsers" is false, so there can be no user; add a user/,
    ],
    ['users on a public cache', { public: true, users: ['a:b'] }, /\/public .*although there are users/],
    [
      'a listener for the world',
      { public: true, listen: '0.0.0.0:80' },
      /\/listen .*\("0\.0\.0\.0:80"\) is not a loopback address.*; use "127\.0\.0\.1:8080"/,
    ],
    [
      'an operator listener for the world',
      { public: true, operator: '[::]:80' },
      /\/operator .*is not a loopback address/,
    ],
    [
      'two listeners on one address',
      { public: true, listen: '127.0.0.1:1', operator: '127.0.0.1:1' },
      /\/operator .*same as "listen"/,
    ],
    [
      'an unknown key with a near one',
      { public: true, lissten: 'x' },
      /\/lissten .*is not a setting; did you mean "listen"\?/,
    ],
    [
      'an unknown key in a section',
      { public: true, larder: { maxSize: 1 } },
      /\/larder\/maxSize .*is not a setting; .*/,
    ],
    [
      'a setting of Eris by its old name',
      { public: true, index_page: true },
      /\/index_page .*did you mean "indexPage"/,
    ],
    ['workers', { public: true, workers: 4 }, /\/workers .*one process/],
    ['clients', { public: true, clients: 4 }, /\/clients .*limits/],
    ['proxy', { public: true, proxy: true }, /\/proxy .*remove it/],
    ['status', { public: true, status: true }, /\/status .*operator/],
    ['upstream', { public: true, upstream: 'https://cache.nixos.org' }, /\/upstream .*substituter/],
    [
      "Eris's signing",
      { public: true, signing: { host: 'x-1', private: '/k' } },
      /\/signing\/host .*use "name"[\s\S]*\/signing\/private .*use "keyFiles"/,
    ],
    ['a string for a number', { public: true, priority: '30' }, /\/priority .*is a string; give a number/],
    ['a fraction', { public: true, priority: 1.5 }, /\/priority .*not a whole number/],
    [
      'a number out of range',
      { public: true, compression: { type: 'zstd', level: 20 } },
      /\/compression\/level .*\(20\) is too large; give at most 19/,
    ],
    [
      'a number below its range',
      { public: true, limits: { firstByteSeconds: 0 } },
      /\/limits\/firstByteSeconds .*\(0\) is too small; give at least 1/,
    ],
    [
      'settings of an older version',
      { public: true, limits: { queueSeconds: 5 }, push: { keepUnfinished: '1h' } },
      /(?=[\s\S]*\/limits\/queueSeconds .*no longer a setting.*20 seconds; remove it)[\s\S]*\/push\/keepUnfinished .*no longer a setting/,
    ],
    ['a word that is none', { public: true, log: { level: 'inof' } }, /\/log\/level .*\("inof"\).*did you mean "info"/],
    [
      'an unknown compression',
      { public: true, compression: 'gzip' },
      /\/compression .*\("gzip"\).*did you mean "zstd"/,
    ],
    [
      'a compression of other caches',
      { public: true, compression: 'xz' },
      /\/compression .*\("xz"\).*did you mean "zstd"/,
    ],
    ['a misspelt tunnel', { public: true, tunnel: 'quik' }, /\/tunnel .*\("quik"\).*did you mean "quick"/],
    ['a port', { public: true, port: 8080 }, /\/port .*use "listen": "127.0.0.1:8080"/],
    [
      'an access by another name',
      { users: [{ name: 'a', password: 'x', access: ['read'] }] },
      /\/users\/0\/access\/0 .*did you mean "pull"/,
    ],
    ['an unknown compression in an object', { public: true, compression: { type: 'xz' } }, /\/compression\/type /],
    [
      'a size that is none',
      { public: true, larder: { maxBytes: 'lots' } },
      /\/larder\/maxBytes .*\("lots"\) is not a size/,
    ],
    ['a relative store', { public: true, store: { realDir: 'store' } }, /\/store\/realDir .*not an absolute path/],
    ['a user without password', { users: [{ name: 'a' }] }, /\/users\/0 .*has no password; give exactly one/],
    [
      'a user with two',
      { users: [{ name: 'a', password: 'x', passwordHash: hash }] },
      /\/users\/0 .*has "password" and "passwordHash"; give exactly one/,
    ],
    ['a user without name', { users: [{ password: 'x' }] }, /\/users\/0\/name .*is missing; give a string/],
    ['a name with a colon', { users: [{ name: 'a:b', password: 'x' }] }, /\/users\/0\/name .*has a colon/],
    ['a name with a line break', { users: [{ name: 'a\nb', password: 'x' }] }, /\/users\/0\/name .*control character/],
    [
      'two users of one name',
      { users: ['a:b', { name: 'a', password: 'x' }] },
      /\/users\/1\/name .*"a", which \/users\/0 has/,
    ],
    ['a user string without a colon', { users: ['ana'] }, /\/users\/0 .*not of the form "name:password"/],
    ['a user string without a name', { users: [':pw'] }, /\/users\/0 .*not of the form/],
    ['a user string without a password', { users: ['ana:'] }, /\/users\/0 .*empty password/],
    [
      'a wrong access',
      { users: [{ name: 'a', password: 'x', access: ['pul'] }] },
      /\/users\/0\/access\/0 .*did you mean "pull"/,
    ],
    ['no access at all', { users: [{ name: 'a', password: 'x', access: [] }] }, /\/users\/0\/access .*empty list/],
    [
      'a date without zone',
      { users: [{ name: 'a', password: 'x', expires: '2030-01-01' }] },
      /\/users\/0\/expires .*2027-01-31T00:00:00Z/,
    ],
    [
      'another hash',
      { users: [{ name: 'a', passwordHash: '$2b$12$abcdefghijklmnopqrstuv' }] },
      /\/users\/0\/passwordHash /,
    ],
    [
      'argon2i',
      { users: [{ name: 'a', passwordHash: hash.replace('argon2id', 'argon2i') }] },
      /\/users\/0\/passwordHash .*not an argon2id hash; make one with "burrow hash-password"/,
    ],
    [
      'a hash that takes all memory',
      { users: [{ name: 'a', passwordHash: hash.replace('65536', '99999999') }] },
      /more than 1 GiB/,
    ],
    [
      'a name for several keys',
      { public: true, signing: { keyFiles: ['a', 'b'], name: 'x-1' } },
      /\/signing\/name .*2 keys one name/,
    ],
    [
      'a key name with a space',
      { public: true, signing: { keyFiles: ['a'], name: 'x 1' } },
      /\/signing\/name .*has a space/,
    ],
    ['edge caching of private paths', { users: ['a:b'], edgeCache: 'allow' }, /\/edgeCache .*private cache/],
    [
      'a user who may push where there is no depot',
      { users: [{ name: 'ci', password: 'x', access: ['push'] }], depot: false },
      /\/users\/0\/access .*user "ci" push, but "depot" is false.*remove "push" here, or set "depot": true/,
    ],
    ['null', { public: true, indexPage: null }, /\/indexPage .*is null; give true or false or a string/],
    ['a list for the whole', [], /the file \(line 1\) is a list; give an object in braces$/],
    ['__proto__', '{"public": true, "__proto__": {}}', /\/__proto__ .*is not a setting/],
    [
      'no JSON',
      '{"public": true,}',
      /Cannot read config "burrow.json": line 1, column 16 has a comma before "}"; remove it/,
    ],
    ['a key named twice', '{"users": ["a:b"], "users": ["c:d"]}', /line 1, column 20 has the key "users" twice/],
  ])('loadConfig refuses %s', async (_what, content, message) => {
    expect(await problemsOf(content)).toMatch(message)
  })

  test('loadConfig refuses an unset variable, with pointer and remedy', async () => {
    expect(await problemsOf({ users: [{ name: 'ci', password: '$CI_PASSWORD' }] })).toBe(
      'Cannot use config "burrow.json": /users/0/password (line 1) refers to $CI_PASSWORD, which is not set; set it, give a default as in "${CI_PASSWORD:-default}", or write "$$" for a dollar sign',
    )
  })

  test('loadConfig tells all problems at once, each with its line', async () => {
    const text = `{
  "listen": "0.0.0.0:80",
  "users": [
    "ana",
    { "name": "ci", "password": "$UNSET", "acess": ["pull"] }
  ],
  "priority": "high",
  "edgeCache": "allow"
}`
    const [head, ...lines] = (await problemsOf(text)).split('\n')
    expect(head).toBe('Cannot use config "burrow.json": 6 problems')
    expect(lines.map((line) => line.trim().split(') ')[0])).toEqual([
      '/listen (line 2',
      '/users/0 (line 4',
      '/users/1/password (line 5',
      '/users/1/acess (line 5',
      '/priority (line 7',
      '/edgeCache (line 8',
    ])
    expect(lines.every((line) => line.includes('; '))).toBe(true)
  })

  test('loadConfig refuses a secret without showing it', async () => {
    const secret = 'hunter2-hunter2'
    const users = [
      `ana${secret}`,
      { name: 'b', passwordHash: secret },
      { name: 'c', password: `${secret}\n` },
      { name: 'd', pasword: secret },
    ]
    expect(await problemsOf({ users })).not.toContain(secret)
    expect(await problemsOf(`{"users": ["ana:${secret}"] "x"`)).not.toContain(secret)
  })

  test('loadConfig refuses a named file that is not there, and says which', async () => {
    const machine = { env: { BURROW_CONFIG: '/nowhere/b.json' }, workingDir: '/', homeDir }
    expect(await complaintOf(() => loadConfig({ machine }))).toBe(
      'Cannot read config "/nowhere/b.json": it does not exist; correct $BURROW_CONFIG, or create one with "burrow init"',
    )
    expect(await complaintOf(() => loadConfig({ machine, file: '/' }))).toMatch(
      /Cannot read config "\/": it is a directory; correct --config/,
    )
  })
})

describe('checkConfigWithoutEnv', () => {
  async function check(content: unknown): Promise<string | undefined> {
    await using dir = await createScratchDir()
    await writeFile(dir.file('burrow.json'), JSON.stringify(content))
    const machine = { env: {}, workingDir: dir.path, homeDir }
    try {
      checkConfigWithoutEnv({ machine })
      return undefined
    } catch (error) {
      return (error as Error).message
    }
  }

  test('checkConfigWithoutEnv lets variables be unset wherever they stand', async () => {
    const content = {
      listen: '127.0.0.1:$PORT',
      users: ['a:$A', '$WHOLE', { name: '$N', password: '$P' }, { name: '$N2', passwordHash: '$H' }],
      larder: { maxBytes: '$MAX' },
      log: { level: '$LEVEL' },
      store: { realDir: '$ROOT/nix/store' },
      signing: { keyFiles: ['$K'], name: '$KN' },
    }
    expect(await check(content)).toBeUndefined()
  })

  test('checkConfigWithoutEnv still finds what no variable can mend', async () => {
    expect(await check({ users: ['a:$A'], listen: '0.0.0.0:1', colour: '$X', log: { level: '${L:-inof}' } })).toMatch(
      /3 problems[\s\S]*\/listen[\s\S]*\/log\/level[\s\S]*\/colour/,
    )
    expect(await check({ users: ['a:5$'] })).toMatch(/begins no variable/)
  })
})
