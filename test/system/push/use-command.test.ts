/** `burrow use`: what it writes, what it leaves alone, and that real Nix and `burrow push` then find the cache. */
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { useCommand } from '../../../appliance/commands/use.ts'
import { generateSecretKey } from '../../../src/index.ts'
import { runBurrow } from '../../appliance/burrow.ts'
import { runCommand } from '../../appliance/run-command.ts'
import { createScratchDir, type ScratchDir } from '../../appliance/scratch-dir.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import { openPushCache, type PushCache } from '../../fixtures/push-cache.ts'

const key = generateSecretKey('cache-1')

let nix: NixFixture
let store: ScratchStore
let cache: PushCache

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  cache = await openPushCache(nix, { signing: [key] })
})

afterAll(async () => {
  await cache[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

const confOf = (dir: ScratchDir) => dir.file('conf/nix.conf')
const foreignConf =
  'sandbox = false\nconnect-timeout = 17\n# mine\nsubstituters =\nbuild-users-group =\nexperimental-features = nix-command'

async function openMachine(): Promise<ScratchDir> {
  const dir = await createScratchDir()
  await mkdir(dir.file('conf'))
  await writeFile(confOf(dir), foreignConf, { mode: 0o640 })
  return dir
}

interface Asked {
  readonly userId?: number
  readonly input?: string
}

function use(dir: ScratchDir, args: readonly string[], { userId = 0, input = 'secret\n' }: Asked = {}) {
  const create = (machine: Parameters<typeof useCommand>[0]) =>
    useCommand({ ...machine, userId, stdin: Readable.from([Buffer.from(input)]) })
  return runCommand(create, ['use', ...args], { dir, env: { NIX_CONF_DIR: dir.file('conf') } })
}

describe('burrow use', () => {
  test('as root sets the machine up, so that real Nix copies from the cache with signatures required, and burrow push finds it', async () => {
    await using dir = await openMachine()
    const path = await store.addFile('pushed', 'pushed')
    expect(await use(dir, [cache.url, '--user', 'ci'])).toMatchObject({ code: 0, stderr: '' })
    const env = {
      NIX_CONF_DIR: dir.file('conf'),
      NIX_STATE_DIR: store.stateDir,
      BURROW_REAL_STORE_DIR: store.realStoreDir,
    }
    expect(await runBurrow(['push', path], { cwd: dir.path, env })).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('1 pushed'),
    })
    const target = await nix.openStore()
    const cacheHome = await nix.makeDir('cache')
    await nix.run('nix-store', ['--store', target.root, '--realise', path], {
      env: { NIX_CONF_DIR: dir.file('conf'), XDG_CACHE_HOME: cacheHome },
    })
    expect(await target.isValid(path)).toBe(true)
  })

  test('leaves every line of others, keeps what is set elsewhere, and changes nothing the second time', async () => {
    await using dir = await openMachine()
    await writeFile(
      dir.file('conf/netrc'),
      'machine 127.0.0.1 login old password old\nmachine other login a password b',
      { mode: 0o600 },
    )
    const { stdout } = await use(dir, [cache.url, '--user', 'ci'])
    expect(stdout).toContain(`  note     "${confOf(dir)}" already sets "connect-timeout"; that value is kept\n`)
    const [conf, netrc] = [await readFile(confOf(dir), 'utf8'), await readFile(dir.file('conf/netrc'), 'utf8')]
    expect(conf.startsWith(`${foreignConf}\n\n# Begin of`)).toBe(true)
    expect(conf.match(/^connect-timeout = .*$/gm)).toEqual(['connect-timeout = 17'])
    expect(conf).toContain(`extra-substituters = ${cache.url}\nextra-trusted-public-keys = ${key.publicKey}\n`)
    expect(netrc).toBe(
      '# burrow use 127.0.0.1\nmachine 127.0.0.1 login ci password secret\nmachine 127.0.0.1 login old password old\nmachine other login a password b',
    )
    expect([(await stat(dir.file('conf/netrc'))).mode & 0o777, (await stat(confOf(dir))).mode & 0o777]).toEqual([
      0o600, 0o640,
    ])
    // Not asked again either: standard input is empty.
    const again = await use(dir, [cache.url, '--user', 'ci'], { input: '' })
    expect([again.code, again.stdout.match(/^ {2}(?:write|create|run) .*$/gm)]).toEqual([0, null])
    await writeFile(confOf(dir), `${conf}after = 1\n`)
    await use(dir, [cache.url, '--user', 'ci'])
    expect(await readFile(confOf(dir), 'utf8')).toBe(`${conf}after = 1\n`)
    // The block of an earlier version, whose first line had another text, is replaced.
    await writeFile(confOf(dir), conf.replace(', which replaces these lines', ': it writes these lines again.'))
    await use(dir, [cache.url, '--user', 'ci'])
    expect(await readFile(confOf(dir), 'utf8')).toBe(conf)
    // Another user takes the place of ours alone.
    await use(dir, [cache.url, '--user', 'bot'])
    expect(await readFile(dir.file('conf/netrc'), 'utf8')).toBe(netrc.replace('login ci', 'login bot'))
  })

  test('as a user writes below ~/.config and keeps a netrc-file that is set', async () => {
    await using dir = await createScratchDir()
    await mkdir(dir.file('.config/nix'), { recursive: true })
    await writeFile(dir.file('.config/nix/nix.conf'), `netrc-file = ${dir.file('secrets')}\n`)
    expect((await use(dir, [cache.url, '--user', 'ben'], { userId: 1000 })).code).toBe(0)
    expect(await readFile(dir.file('secrets'), 'utf8')).toContain('machine 127.0.0.1 login ben password secret\n')
    expect(await readFile(dir.file('.config/nix/nix.conf'), 'utf8')).toContain(`extra-substituters = ${cache.url}\n`)
    expect(JSON.parse(await readFile(dir.file('.config/burrow/client.json'), 'utf8'))).toEqual({ url: cache.url })
  })

  test('with --print writes nothing and shows no password', async () => {
    await using dir = await openMachine()
    const { code, stdout } = await use(dir, [cache.url, '--user', 'ci', '--push', '--print'])
    expect([code, stdout]).toEqual([0, expect.stringContaining('machine 127.0.0.1 login ci password PASSWORD')])
    expect(stdout).toContain('post-build-hook = ')
    expect(stdout).not.toContain('secret')
    expect([await readdir(dir.path), await readFile(confOf(dir), 'utf8')]).toEqual([['conf'], foreignConf])
  })

  test('with --push adds hook, spool folder and unit, which stay when it is run without', async () => {
    await using dir = await createScratchDir()
    const root = dir.file('image')
    await writeFile(dir.file('password'), 'secret\n')
    const args = [cache.url, '--user', 'ci', '--root', root, '--password-file', 'password']
    expect(await use(dir, [...args, '--push'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('systemctl enable --now burrow-push.service'),
    })
    const nixDir = join(root, dir.file('conf'))
    const hook = await readFile(join(nixDir, 'burrow-post-build-hook'), 'utf8')
    expect(hook).toContain(`spool='/var/spool/burrow'\n`)
    expect((await stat(join(root, 'var/spool/burrow'))).mode & 0o777).toBe(0o700)
    const unit = await readFile(join(root, 'etc/systemd/system/burrow-push.service'), 'utf8')
    expect(unit).toMatch(new RegExp(`^ExecStart=.* watch-store --to ${cache.url} --spool /var/spool/burrow$`, 'm'))
    expect(await readFile(join(nixDir, 'nix.conf'), 'utf8')).toContain(
      `post-build-hook = ${dir.file('conf')}/burrow-post-build-hook\n`,
    )
    expect((await use(dir, args)).stdout.match(/^(?:write|make|run) .*$/gm)).toBeNull()
  })

  test('with --relay Nix asks the relay, without a login, and the units find the login', async () => {
    await using dir = await createScratchDir()
    const root = dir.file('image')
    await writeFile(dir.file('password'), 'secret\n')
    const args = [cache.url, '--user', 'ci', '--root', root, '--password-file', 'password', '--relay']
    expect(await use(dir, args)).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringContaining('systemctl enable --now burrow-relay.socket burrow-relay.service'),
    })
    const netrc = dir.file('conf/netrc')
    const conf = await readFile(join(root, dir.file('conf/nix.conf')), 'utf8')
    expect(conf).toContain(`extra-substituters = http://127.0.0.1:8078\nextra-trusted-public-keys = ${key.publicKey}\n`)
    expect(conf).toContain('\nnarinfo-cache-negative-ttl = 60\n')
    expect(conf).not.toMatch(/netrc-file|post-build-hook/)
    expect(conf.match(new RegExp(cache.url, 'g'))).toHaveLength(2)
    expect(await readFile(join(root, netrc), 'utf8')).toContain('machine 127.0.0.1 login ci password secret\n')
    expect((await stat(join(root, netrc))).mode & 0o777).toBe(0o600)
    const readUnit = (name: string) => readFile(join(root, 'etc/systemd/system', name), 'utf8')
    expect(await readUnit('burrow-relay.socket')).toContain('\nListenStream=127.0.0.1:8078\n')
    const service = await readUnit('burrow-relay.service')
    expect(service).toMatch(
      new RegExp(`^ExecStart=.* relay --to ${cache.url} --netrc-file %d/netrc --exit-idle 5m$`, 'm'),
    )
    expect(service).toContain(`\nLoadCredential=netrc:${netrc}\nDynamicUser=yes\n`)

    const second = await use(dir, [...args, '--push'])
    expect(second.stdout.match(/^ {2}write .*$/gm)).toEqual([
      expect.stringMatching(/burrow-relay\.service \(mode 0644\)$/),
    ])
    expect(await readUnit('burrow-relay.service')).toMatch(/^ExecStart=.* --netrc-file %d\/netrc --watch$/m)
    expect(await readdir(join(root, 'etc/systemd/system'))).toEqual(['burrow-relay.service', 'burrow-relay.socket'])

    // Without it Nix asks the cache itself again.
    await use(dir, args.slice(0, -1))
    expect(await readFile(join(root, dir.file('conf/nix.conf')), 'utf8')).toContain(`substituters = ${cache.url}\n`)
  })

  test('with --relay as a user writes units of the user, who may push by it', async () => {
    await using dir = await createScratchDir()
    const { code, stdout } = await use(dir, [cache.url, '--user', 'ci', '--relay', '--push'], { userId: 1000 })
    expect(code).toBe(0)
    expect(stdout).toContain('systemctl --user enable --now burrow-relay.socket burrow-relay.service')
    expect(stdout).toContain('loginctl enable-linger')
    const service = await readFile(dir.file('.config/systemd/user/burrow-relay.service'), 'utf8')
    expect(service).toContain(` --netrc-file ${dir.file('.config/nix/netrc')} --watch\n`)
    expect(service).not.toMatch(/DynamicUser|LoadCredential/)
    expect(service).toContain('\nWantedBy=default.target\n')
    expect(await readFile(dir.file('.config/nix/nix.conf'), 'utf8')).toContain('substituters = http://127.0.0.1:8078\n')
  })

  test('there is one relay: for another cache it is refused, and nothing is written', async () => {
    await using dir = await createScratchDir()
    const as = { userId: 1000 }
    await use(dir, [cache.url, '--user', 'ci', '--relay'], as)
    const unit = await readFile(dir.file('.config/systemd/user/burrow-relay.service'), 'utf8')
    const other = cache.url.replace('127.0.0.1', 'localhost')
    const conf = await readFile(dir.file('.config/nix/nix.conf'), 'utf8')
    expect(await use(dir, [other, '--user', 'ci', '--relay'], as)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`there is one for ${cache.url} already`),
    })
    expect(await readFile(dir.file('.config/systemd/user/burrow-relay.service'), 'utf8')).toBe(unit)
    expect(await readFile(dir.file('.config/nix/nix.conf'), 'utf8')).toBe(conf)
  })

  test('--relay --print shows the units and writes nothing', async () => {
    await using dir = await openMachine()
    const { code, stdout } = await use(dir, [cache.url, '--user', 'ci', '--relay', '--print'])
    expect(code).toBe(0)
    expect(stdout).toContain('# /etc/systemd/system/burrow-relay.socket\n')
    expect(stdout).toContain('--netrc-file %d/netrc --exit-idle 5m\n')
    expect(stdout).not.toContain('secret')
    expect([await readdir(dir.path), await readFile(confOf(dir), 'utf8')]).toEqual([['conf'], foreignConf])
  })

  test.each(['--relay', '--push'])('--remove takes back what %s wrote, and nothing of others', async (part) => {
    await using dir = await createScratchDir()
    const root = dir.file('image')
    const conf = join(root, dir.file('conf/nix.conf'))
    const netrc = join(root, dir.file('conf/netrc'))
    await mkdir(join(conf, '..'), { recursive: true })
    await writeFile(conf, 'sandbox = false\n')
    await writeFile(netrc, 'machine other login a password b\n', { mode: 0o600 })
    await writeFile(dir.file('password'), 'secret\n')
    await use(dir, [cache.url, '--user', 'ci', '--root', root, '--password-file', 'password', part])
    expect(await readFile(conf, 'utf8')).toContain('# Begin of')
    // Of another cache it takes nothing.
    await use(dir, ['https://other.example.org', '--root', root, '--remove'])
    expect(await readFile(conf, 'utf8')).toContain('# Begin of')

    expect(await use(dir, [cache.url, '--root', root, '--remove'])).toMatchObject({ code: 0, stderr: '' })
    expect(await readFile(conf, 'utf8')).toBe('sandbox = false\n')
    expect(await readFile(netrc, 'utf8')).toBe('machine other login a password b\n')
    expect(await readdir(join(root, 'etc/systemd/system'))).toEqual([])
    expect(await readdir(join(conf, '..'))).toEqual(['netrc', 'nix.conf'])
    expect(await readdir(join(root, dir.file('.config/burrow')))).toEqual([])
    const again = await use(dir, [cache.url, '--root', root, '--remove'])
    expect(again.stdout.match(/^ {2}(?:write|delete|run) .*$/gm)).toBeNull()
  })

  test("leaves another's hook, and says so", async () => {
    await using dir = await createScratchDir()
    const root = dir.file('image')
    const conf = join(root, dir.file('conf/nix.conf'))
    await mkdir(join(conf, '..'), { recursive: true })
    await writeFile(conf, 'post-build-hook = /etc/mine\n')
    const { stdout } = await use(dir, [cache.url, '--user', 'ci', '--root', root, '--push'])
    expect(stdout).toMatch(
      /note {5}".*" already sets "post-build-hook"; that value is kept: builds are pushed only if that hook also calls Burrow's/,
    )
    expect((await readFile(conf, 'utf8')).match(/^post-build-hook.*$/gm)).toEqual(['post-build-hook = /etc/mine'])
  })

  test.each([
    ['a wrong password', ['URL', '--user', 'ci'], { input: 'wrong\n' }, 77, /rejected .* check --user "ci"/],
    ['no user', ['URL'], {}, 77, /asks for a login: name the user with --user$/m],
    ['--push without the right', ['URL', '--user', 'ben', '--push'], {}, 77, /push/],
    ['--push without root', ['URL', '--user', 'ci', '--push'], { userId: 1000 }, 2, /--push needs root/],
    [
      'a password in the URL',
      ['http://ci:secret@127.0.0.1', '--user', 'ci'],
      {},
      2,
      /must not contain a user name, password or query/,
    ],
    ['no password', ['URL', '--user', 'ci'], { input: '' }, 2, /No password was given/],
    [
      'a password file that is not there',
      ['URL', '--user', 'ci', '--password-file', 'none'],
      {},
      78,
      /Cannot read "none": it does not exist/,
    ],
  ] as const)('with %s writes nothing', async (_what, args, asked, code, text) => {
    await using dir = await openMachine()
    const named = args.map((arg) => (arg === 'URL' ? cache.url : arg))
    expect(await use(dir, named, asked)).toMatchObject({ code, stderr: expect.stringMatching(text) })
    expect([await readdir(dir.path), await readFile(confOf(dir), 'utf8')]).toEqual([['conf'], foreignConf])
  })

  test('writes through a link, which stays one', async () => {
    await using dir = await openMachine()
    await nix.run('mv', [confOf(dir), dir.file('real.conf')])
    await symlink(dir.file('real.conf'), confOf(dir))
    expect((await use(dir, [cache.url, '--user', 'ci'])).code).toBe(0)
    expect(await readFile(dir.file('real.conf'), 'utf8')).toContain(cache.url)
    expect((await stat(dir.file('real.conf'))).mode & 0o777).toBe(0o640)
  })
})
