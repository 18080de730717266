import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { describe, expect, test } from '@jest/globals'
import sodium from 'sodium-native'

import { parseSecretKey } from '../../src/index.ts'
import { runBurrow } from './burrow.ts'
import { createScratchDir } from './scratch-dir.ts'

const isRight = (hash: string, password: string) => {
  const padded = Buffer.alloc(sodium.crypto_pwhash_STRBYTES)
  padded.write(hash)
  return sodium.crypto_pwhash_str_verify(padded, Buffer.from(password))
}

describe('burrow', () => {
  test('burrow --help tells commands, config and exit codes', async () => {
    await using dir = await createScratchDir()
    const { code, stdout, stderr } = await runBurrow(['--help'], { cwd: dir.path })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const word of [
      'serve',
      'check-config',
      'init',
      'keygen',
      'hash-password',
      'client-config',
      'version',
      '$BURROW_CONFIG',
      'Exit codes',
      '78',
    ])
      expect(stdout).toContain(word)
  })

  test.each([
    [['--version'], 0, /^burrow \d+\.\d+\.\d+/],
    [['version'], 0, /^burrow \d+\.\d+\.\d+/],
    [['no-such-command'], 2, /unknown command.*\n(?:.*\n)?\(run "burrow --help"\)/],
    [['user', 'no-such-command'], 2, /unknown command.*\n(?:.*\n)?\(run "burrow user --help"\)/],
    [['user', 'add'], 2, /missing required argument 'name'\n\(run "burrow user add --help"\)/],
    [['user', 'expire', 'ben', 'yesterday'], 2, /argument 'time'\. Use a date in the future/],
    [['serve', '--port', '80'], 2, /unknown option/],
    [['serve', '--listen', '0.0.0.0:80'], 2, /--listen "0\.0\.0\.0:80": it is not a loopback address/],
    [['keygen'], 2, /missing required argument/],
    [['keygen', 'a b'], 2, /white space/],
    [['client-config', '--url', 'ftp://x'], 2, /--url/],
    [['client-config', '--url', 'https://ana:pw@x'], 2, /--url/],
    [['--config', 'nowhere.json', 'serve'], 78, /Cannot read config "nowhere\.json"/],
    [['serve', '--config', 'nowhere.json'], 78, /Cannot read config "nowhere\.json"/],
  ] as const)('burrow %j ends with exit code %i', async (args, wanted, message) => {
    await using dir = await createScratchDir()
    const { code, stdout, stderr } = await runBurrow(args, { cwd: dir.path })
    expect(stdout + stderr).toMatch(message)
    expect(code).toBe(wanted)
  })
})

describe('burrow check-config', () => {
  test('check-config tells all problems with pointers and ends with 78', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('burrow.json'), '{"listen": "0.0.0.0:1", "users": ["x"]}')
    const { code, stderr, stdout } = await runBurrow(['check-config'], { cwd: dir.path })
    expect({ code, stdout }).toEqual({ code: 78, stdout: '' })
    expect(stderr).toMatch(/2 problems[\s\S]*\/listen[\s\S]*\/users\/0/)
    expect(stderr).not.toMatch(/\n +at /)
  })

  test('check-config reads the files a config names, --no-env does not', async () => {
    await using dir = await createScratchDir()
    const config = {
      users: [
        { name: 'a', passwordFile: '$DIR/pw' },
        { name: 'b', passwordFile: 'empty' },
      ],
      signing: { keyFiles: ['key'] },
      indexPage: 'page.html',
    }
    await writeFile(dir.file('burrow.json'), JSON.stringify(config))
    await writeFile(dir.file('empty'), '\n')
    await writeFile(dir.file('key'), 'x-1:AAAA')
    const { code, stderr } = await runBurrow(['check-config'], { cwd: dir.path, env: { DIR: dir.path } })
    expect(code).toBe(78)
    expect(stderr).toMatch(/4 problems/)
    for (const pointer of ['/users/0/passwordFile', '/users/1/passwordFile', '/signing/keyFiles/0', '/indexPage'])
      expect(stderr).toContain(pointer)
    expect(await runBurrow(['check-config', '--no-env'], { cwd: dir.path })).toMatchObject({ code: 0, stderr: '' })
  })

  test.each([
    [
      'a password file that everybody can change',
      { name: 'ben', passwordFile: 'open' },
      0,
      /warning: Every user of this machine can read or change the password file; run "chmod 600 /,
    ],
    [
      'an argon2id hash under "password"',
      { name: 'ben', password: `$argon2id$v=19$m=65536,t=2,p=1$${'A'.repeat(22)}$${'B'.repeat(43)}` },
      78,
      /is an argon2id hash, not a password; give it as "passwordHash"/,
    ],
    [
      'a bcrypt hash under "password"',
      { name: 'ben', password: `$2b$10$${'a'.repeat(53)}` },
      78,
      /is a password hash of a type that Burrow does not support/,
    ],
    [
      'a bcrypt hash under "passwordHash"',
      { name: 'ben', passwordHash: `$2b$10$${'a'.repeat(53)}` },
      78,
      /is a bcrypt hash; only argon2id is supported; make one with/,
    ],
    ['an htpasswd file', { name: 'ben', passwordFile: 'htpasswd' }, 78, /holds a line of an htpasswd file/],
    ['a short password in a file', { name: 'ben', passwordFile: 'short' }, 0, /holds fewer than 8 characters/],
    ['a short password', { name: 'ben', password: 'x' }, 0, /the password of user "ben" has fewer than 8 characters/],
    [
      'an expired user',
      { name: 'ben', password: 'long enough', expires: '2020-01-01T00:00:00Z' },
      0,
      /user "ben" expired on 2020-01-01/,
    ],
  ] as const)('check-config speaks of %s', async (_what, user, expected, pattern) => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('open'), 'long enough')
    await chmod(dir.file('open'), 0o666)
    await writeFile(dir.file('htpasswd'), `ben:$2y$10$${'a'.repeat(53)}\n`, { mode: 0o600 })
    await writeFile(dir.file('short'), 'x', { mode: 0o600 })
    await writeFile(dir.file('burrow.json'), JSON.stringify({ users: [user] }), { mode: 0o600 })
    const { code, stderr } = await runBurrow(['check-config'], { cwd: dir.path })
    expect(code).toBe(expected)
    expect(stderr).toMatch(pattern)
    // One thing is wrong, and it is said once.
    expect(
      stderr
        .trim()
        .split('\n')
        .filter((line) => /\/users\/0|warning/.test(line)).length,
    ).toBe(1)
  })

  test('check-config speaks of a password with an escaped dollar sign in a file that others can read, and of a low port', async () => {
    await using dir = await createScratchDir()
    await writeFile(
      dir.file('burrow.json'),
      JSON.stringify({ listen: '127.0.0.1:80', users: [{ name: 'ben', password: 'long$$enough' }] }),
    )
    await chmod(dir.file('burrow.json'), 0o644)
    const { stderr } = await runBurrow(['check-config'], { cwd: dir.path })
    expect(stderr).toMatch(/contains passwords and can be read by other users/)
    expect(stderr).toMatch(/\/listen: ports below 1024 need a privilege/)
  })

  test('check-config accepts what is right', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('pw'), 'long enough\r\n', { mode: 0o600 })
    await writeFile(dir.file('burrow.json'), '{"users": [{"name": "a", "passwordFile": "pw"}]}')
    expect(await runBurrow(['check-config'], { cwd: dir.path })).toEqual({
      code: 0,
      signal: null,
      stderr: '',
      stdout: 'The config is valid.\n',
    })
    expect(existsSync(dir.file('.local'))).toBe(false)
  })
})

describe('burrow keygen', () => {
  test('keygen prints a secret key that Nix and we can read, and its public half beside it', async () => {
    await using dir = await createScratchDir()
    const { code, stdout, stderr } = await runBurrow(['keygen', 'cache.example-1'], { cwd: dir.path })
    expect(code).toBe(0)
    expect(stderr).toBe(`public key: ${parseSecretKey(stdout).publicKey}\n`)
    const nix = spawnSync('nix', ['--extra-experimental-features', 'nix-command', 'key', 'convert-secret-to-public'], {
      input: stdout.trim(),
      encoding: 'utf8',
      env: { ...process.env, HOME: dir.path },
    })
    expect(`public key: ${nix.stdout}\n`).toBe(stderr)
  })

  test('keygen --out writes a new 0600 file and never over an old one', async () => {
    await using dir = await createScratchDir()
    const { stdout } = await runBurrow(['keygen', 'x-1', '--out', 'key'], { cwd: dir.path })
    const secret = await readFile(dir.file('key'), 'utf8')
    expect(parseSecretKey(secret).publicKey).toBe(stdout.trim())
    expect((await stat(dir.file('key'))).mode & 0o777).toBe(0o600)
    expect(await runBurrow(['keygen', 'x-1', '--out', 'key'], { cwd: dir.path })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('already exists'),
    })
    expect(await readFile(dir.file('key'), 'utf8')).toBe(secret)
    expect(await runBurrow(['keygen', 'x-1', '--out', 'no/such/dir'], { cwd: dir.path })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('does not exist'),
    })
  })
})

describe('burrow hash-password', () => {
  test('hash-password hashes one line of standard input', async () => {
    await using dir = await createScratchDir()
    for (const input of ['pä ss:w"ord', 'pä ss:w"ord\n', 'pä ss:w"ord\r\n']) {
      const { code, stdout, stderr } = await runBurrow(['hash-password'], { cwd: dir.path, input })
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toMatch(/^\$argon2id\$v=19\$m=65536,t=2,p=1\$[\w+/]+\$[\w+/]+\n$/)
      expect(isRight(stdout.trim(), 'pä ss:w"ord')).toBe(true)
    }
  })

  test.each([
    ['', /empty password/],
    ['\n', /empty password/],
    ['a\nb\n', /several lines/],
    ['a\tb', /control character/],
    ['x'.repeat(5000), /longer than/],
  ])('hash-password refuses %.10j', async (input, message) => {
    await using dir = await createScratchDir()
    const { code, stdout, stderr } = await runBurrow(['hash-password'], { cwd: dir.path, input })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(message)
  })

  test('hash-password makes what a config takes', async () => {
    await using dir = await createScratchDir()
    const { stdout } = await runBurrow(['hash-password'], { cwd: dir.path, input: 'secret' })
    await writeFile(dir.file('burrow.json'), JSON.stringify({ users: [{ name: 'a', passwordHash: stdout.trim() }] }))
    expect((await runBurrow(['check-config'], { cwd: dir.path })).code).toBe(0)
  })
})

describe('burrow init', () => {
  test('init writes a private config and key that check-config and client-config take', async () => {
    await using dir = await createScratchDir()
    const { code, stdout } = await runBurrow(['init', '--user', 'ana', '--state-dir', 'state'], { cwd: dir.path })
    expect(code).toBe(0)
    const mode = async (name: string) => ((await stat(dir.file(name))).mode & 0o777).toString(8)
    expect([await mode('burrow.json'), await mode('state'), await mode('state/secret-key')]).toEqual([
      '600',
      '700',
      '600',
    ])
    const [{ password }] = JSON.parse(await readFile(dir.file('burrow.json'), 'utf8')).users
    expect(stdout).toContain(`machine 127.0.0.1 login ana password ${password}\n`)
    expect(stdout).toContain(
      `extra-trusted-public-keys = ${parseSecretKey(await readFile(dir.file('state/secret-key'), 'utf8')).publicKey}\n`,
    )
    expect((await runBurrow(['check-config'], { cwd: dir.path })).code).toBe(0)
    expect((await runBurrow(['client-config'], { cwd: dir.path })).stdout).toBe(stdout)
  })

  test('init replaces a config only with --force, and a key never', async () => {
    await using dir = await createScratchDir()
    await runBurrow(['init'], { cwd: dir.path })
    const [config, key] = await Promise.all([
      readFile(dir.file('burrow.json'), 'utf8'),
      readFile(dir.file('.local/state/burrow/secret-key'), 'utf8'),
    ])
    expect(await runBurrow(['init'], { cwd: dir.path })).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('--force'),
    })
    expect(await readFile(dir.file('burrow.json'), 'utf8')).toBe(config)
    expect((await runBurrow(['init', '--force'], { cwd: dir.path })).code).toBe(0)
    expect(await readFile(dir.file('burrow.json'), 'utf8')).not.toBe(config)
    expect(await readFile(dir.file('.local/state/burrow/secret-key'), 'utf8')).toBe(key)
  })

  test.each([
    [['--listen', '0.0.0.0:80'], /not a loopback/],
    [['--user', 'a:b'], /colons/],
  ])('init refuses %j and writes nothing', async (args, message) => {
    await using dir = await createScratchDir()
    const { code, stderr } = await runBurrow(['init', ...args], { cwd: dir.path })
    expect(stderr).toMatch(message)
    expect({ code, isWritten: existsSync(dir.file('burrow.json')) }).toEqual({ code: 2, isWritten: false })
  })
})

describe('burrow client-config', () => {
  test('client-config names the host name of the tunnel, unless --url names another', async () => {
    await using dir = await createScratchDir()
    await writeFile(
      dir.file('burrow.json'),
      JSON.stringify({
        state: { dir: 'state' },
        public: true,
        tunnel: { mode: 'token', token: 'x', hostname: 'cache.example.org' },
      }),
    )
    await runBurrow(['keygen', 'a-1', '--out', 'state-key'], { cwd: dir.path })
    const config = JSON.parse(await readFile(dir.file('burrow.json'), 'utf8'))
    await writeFile(dir.file('burrow.json'), JSON.stringify({ ...config, signing: { keyFiles: ['state-key'] } }))
    const named = await runBurrow(['client-config'], { cwd: dir.path })
    expect(named.stdout).toContain('extra-substituters = https://cache.example.org\n')
    const other = await runBurrow(['client-config', '--url', 'http://127.0.0.1:1'], { cwd: dir.path })
    expect(other.stdout).toContain('extra-substituters = http://127.0.0.1:1\n')
  })

  test('client-config --push prints how to push, and refuses users who may not', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('key'), (await runBurrow(['keygen', 'a-1'], { cwd: dir.path })).stdout, { mode: 0o600 })
    const config = {
      users: [{ name: 'ci', password: 'secret', access: ['pull', 'push'] }, 'ben:secret'],
      signing: { keyFiles: ['key'] },
    }
    await writeFile(dir.file('burrow.json'), JSON.stringify(config), { mode: 0o600 })
    const run = (...args: string[]) =>
      runBurrow(['client-config', '--url', 'https://cache.example.org', ...args], { cwd: dir.path })
    expect((await run('--user', 'ci', '--push')).stdout).toMatch(
      /^machine .* login ci .*\n\n#.*\nburrow push --to https:\/\/cache\.example\.org \.\/result\n/m,
    )
    expect((await run('--user', 'ci')).stdout).not.toContain('burrow push')
    expect(await run('--user', 'ben', '--push')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('"ben" may not push'),
    })
    await writeFile(dir.file('burrow.json'), JSON.stringify({ ...config, depot: false }), { mode: 0o600 })
    expect(await run('--user', 'ci', '--push')).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('"depot" is false'),
    })
  })

  const users = [
    { name: 'ana', password: 'pa "ss\\' },
    {
      name: 'ben',
      passwordHash: '$argon2id$v=19$m=65536,t=2,p=1$mnOtjV1I0RbCnSEXP/yfmw$vBHm9xzJz9hltlSmgB1Y+M8hB6kJAiOiQjnRqRoG6dE',
    },
  ]

  test('client-config prints the lines for nix.conf and netrc', async () => {
    await using dir = await createScratchDir()
    const { stdout: secret, stderr: publicLine } = await runBurrow(['keygen', 'cache.example-1'], { cwd: dir.path })
    await writeFile(dir.file('key'), secret, { mode: 0o600 })
    await writeFile(dir.file('burrow.json'), JSON.stringify({ users, signing: { keyFiles: ['key'] } }), { mode: 0o600 })
    const { stdout, code } = await runBurrow(
      ['client-config', '--user', 'ana', '--url', 'https://cache.example.org:8443/'],
      { cwd: dir.path },
    )
    expect(code).toBe(0)
    expect(stdout.split('\n').filter((line) => !line.startsWith('#'))).toEqual([
      'extra-substituters = https://cache.example.org:8443',
      `extra-trusted-public-keys = ${publicLine.trim().slice('public key: '.length)}`,
      'fallback = true',
      'connect-timeout = 5',
      'download-attempts = 7',
      'stalled-download-timeout = 120',
      'narinfo-cache-negative-ttl = 300',
      '',
      'machine cache.example.org login ana password "pa \\"ss\\\\"',
      '',
    ])
    expect(stdout).toContain('/etc/nix/nix.conf')
    expect(stdout).toContain('/etc/nix/netrc')
  })

  test('client-config shows no password where only its hash is known', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('burrow.json'), JSON.stringify({ users, signing: { keyFiles: [] } }), { mode: 0o600 })
    const { stdout } = await runBurrow(['client-config', '--user', 'ben'], { cwd: dir.path })
    expect(stdout).toContain('machine 127.0.0.1 login ben password PASSWORD\n')
    expect(stdout).not.toContain('argon2')
  })

  test('client-config asks which of several users is meant', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('burrow.json'), JSON.stringify({ users, signing: { keyFiles: [] } }), { mode: 0o600 })
    expect(await runBurrow(['client-config'], { cwd: dir.path })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--user: ana, ben'),
    })
    expect(await runBurrow(['client-config', '--user', 'eve'], { cwd: dir.path })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('the users are: ana, ben'),
    })
  })

  test('client-config before the first start says what to do and makes nothing', async () => {
    await using dir = await createScratchDir()
    expect(await runBurrow(['client-config'], { cwd: dir.path })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('burrow serve'),
    })
    expect(existsSync(dir.file('.local'))).toBe(false)
  })

  test('client-config refuses a state directory that others can enter', async () => {
    await using dir = await createScratchDir()
    await mkdir(dir.file('state'), { mode: 0o755 })
    await writeFile(dir.file('state/secret-key'), 'x', { mode: 0o600 })
    expect(
      await runBurrow(['client-config'], { cwd: dir.path, env: { STATE_DIRECTORY: dir.file('state') } }),
    ).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('chmod 700'),
    })
  })
})
