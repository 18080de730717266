import { chmod, cp, mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { describe, expect, test } from '@jest/globals'

import { installServiceCommand } from '../../../appliance/commands/install-service.ts'
import { uninstallServiceCommand } from '../../../appliance/commands/uninstall-service.ts'
import { loadConfig } from '../../../appliance/config/load-config.ts'
import { findObstacle, formatService } from '../../../appliance/systemd/unit-text.ts'
import { readNamedFiles } from '../../../appliance/users/load-reloadable.ts'
import { silentLog } from '../../../src/index.ts'
import { runCommand } from '../run-command.ts'
import { createScratchDir, type ScratchDir } from '../scratch-dir.ts'

const install = (dir: ScratchDir, ...args: string[]) =>
  runCommand(installServiceCommand, ['install-service', '--root', 'stage', ...args], { dir })
const uninstall = (dir: ScratchDir, ...args: string[]) =>
  runCommand(uninstallServiceCommand, ['uninstall-service', '--root', 'stage', ...args], { dir })
const at = (dir: ScratchDir, path: string) => dir.file(`stage${path}`)
const read = (dir: ScratchDir, path: string) => readFile(at(dir, path), 'utf8')
const modeOf = async (dir: ScratchDir, path: string) => ((await stat(at(dir, path))).mode & 0o777).toString(8)
const list = async (dir: ScratchDir) =>
  (await readdir(dir.file('stage'), { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => !entry.isDirectory())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(dir.file('stage').length))
    .sort()

const units = '/etc/systemd/system'

describe('burrow install-service', () => {
  test('install-service writes units, config and secrets with modes that keep the secrets to root', async () => {
    await using dir = await createScratchDir()
    const { code, stdout } = await install(dir, '--user', 'ana', '--socket')
    expect(code).toBe(0)
    expect(await list(dir)).toEqual([
      '/etc/burrow/burrow.json',
      '/etc/burrow/credentials/password-ana',
      '/etc/burrow/credentials/signing-key',
      `${units}/burrow.service`,
      `${units}/burrow.service.d/credentials.conf`,
      `${units}/burrow.socket`,
    ])
    const modes = [
      '/etc/burrow',
      '/etc/burrow/credentials',
      '/etc/burrow/burrow.json',
      '/etc/burrow/credentials/password-ana',
      `${units}/burrow.service`,
    ]
    expect(await Promise.all(modes.map((path) => modeOf(dir, path)))).toEqual(['755', '700', '644', '600', '644'])
    expect(await read(dir, `${units}/burrow.service.d/credentials.conf`)).toContain(
      '\nLoadCredential=password-ana:/etc/burrow/credentials/password-ana\n',
    )
    const password = (await read(dir, '/etc/burrow/credentials/password-ana')).trim()
    expect(stdout).toContain(`machine 127.0.0.1 login ana password ${password}\n`)
    expect(await read(dir, '/etc/burrow/burrow.json')).not.toContain(password)
  })

  test('the directories on the way are for everybody to enter, whatever the umask: a package keeps their modes', async () => {
    await using dir = await createScratchDir()
    const umask = process.umask(0o077)
    try {
      await install(dir, '--user', 'ana')
    } finally {
      process.umask(umask)
    }
    const dirs = ['/etc', '/etc/systemd', units, `${units}/burrow.service.d`]
    expect(await Promise.all(dirs.map((path) => modeOf(dir, path)))).toEqual(['755', '755', '755', '755'])
  })

  test('the config it writes can be loaded by the service, and by root, with user and key', async () => {
    await using dir = await createScratchDir()
    const { stdout } = await install(dir, '--user', 'ana')
    const env = { CREDENTIALS_DIRECTORY: at(dir, '/etc/burrow/credentials') }
    const loaded = loadConfig({
      machine: { env, workingDir: '/', homeDir: '/' },
      file: at(dir, '/etc/burrow/burrow.json'),
    })
    const { users, signing } = await readNamedFiles(loaded, silentLog)
    expect(users?.map(({ name }) => name)).toEqual(['ana'])
    expect(stdout).toContain(`extra-trusted-public-keys = ${signing?.[0]?.publicKey}\n`)
    const byRoot = loadConfig({
      machine: { env: {}, workingDir: '/', homeDir: '/' },
      file: at(dir, '/etc/burrow/burrow.json'),
    })
    expect(byRoot.config.signing.keyFiles).toEqual(['/etc/burrow/credentials/signing-key'])
  })

  test('install-service run again keeps everything, and takes up a credential that was added', async () => {
    await using dir = await createScratchDir()
    await install(dir)
    const before = await Promise.all((await list(dir)).map((file) => read(dir, file)))
    const again = await install(dir, '--user', 'burrow', '--listen', '127.0.0.1:9999')
    expect(await Promise.all((await list(dir)).map((file) => read(dir, file)))).toEqual(before)
    expect(again.stderr).not.toMatch(/^ {2}(create|write|delete|run) /m)
    expect([again.stdout, again.stderr]).toEqual([
      '',
      expect.stringContaining(
        'To show the settings for clients: burrow --config /etc/burrow/burrow.json client-config',
      ),
    ])
    await writeFile(at(dir, '/etc/burrow/credentials/tunnel-token'), 'x')
    await writeFile(at(dir, '/etc/burrow/credentials/.hidden'), 'x')
    await install(dir)
    const lines = (await read(dir, `${units}/burrow.service.d/credentials.conf`)).match(/(?<=^LoadCredential=)[^:]+/gm)
    expect(lines).toEqual(['password-burrow', 'signing-key', 'tunnel-token'])
  })

  test('install-service changes nothing when the config that is there is wrong, or names a file that is not there', async () => {
    await using dir = await createScratchDir()
    await install(dir)
    await writeFile(
      at(dir, `${units}/burrow.service`),
      (await read(dir, `${units}/burrow.service`)).replace('WatchdogSec=60', 'WatchdogSec=1'),
    )
    const [right, before] = [await read(dir, '/etc/burrow/burrow.json'), await read(dir, `${units}/burrow.service`)]
    await writeFile(at(dir, '/etc/burrow/burrow.json'), right.replace('"larder"', '"lader"'))
    expect(await install(dir)).toMatchObject({
      code: 78,
      stderr: expect.stringMatching(/\/lader.*did you mean "larder"/),
    })
    await writeFile(at(dir, '/etc/burrow/burrow.json'), right.replaceAll('password-burrow', 'password-other'))
    expect(await install(dir)).toMatchObject({
      code: 78,
      stderr: expect.stringMatching(/password-other.*does not exist/),
    })
    expect(await read(dir, `${units}/burrow.service`)).toBe(before)
    expect((await install(dir, '--no-check')).code).toBe(0)
  })

  test('install-service --user with a second user is an error that says how one is added', async () => {
    await using dir = await createScratchDir()
    await install(dir, '--user', 'ana')
    expect((await install(dir, '--user', 'ana')).code).toBe(0)
    expect(await install(dir, '--user', 'ben')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /Cannot add user "ben".*credentials\/password-ben.*"users".*burrow install-service/,
      ),
    })
  })

  test('install-service uses what a broken-off installation left', async () => {
    await using dir = await createScratchDir()
    await mkdir(at(dir, '/etc/burrow/credentials'), { recursive: true })
    await writeFile(at(dir, '/etc/burrow/credentials/password-burrow'), 'from-before\n')
    expect((await install(dir)).stdout).toContain('password from-before\n')
  })

  test('install-service --dry-run tells each step, no secret, and changes nothing', async () => {
    await using dir = await createScratchDir()
    const { code, stdout, stderr } = await install(dir, '--dry-run', '--socket')
    expect([code, stdout, await list(dir)]).toEqual([0, '', []])
    expect(stderr).toContain(`  write    ${at(dir, `${units}/burrow.service`)} (mode 0644)`)
    expect(stderr).toContain('systemctl enable --now burrow.socket burrow.service')
  })

  test('the socket listens where the config says', async () => {
    await using dir = await createScratchDir()
    await install(dir, '--listen', '[::1]:7000')
    await install(dir, '--socket')
    expect(await read(dir, `${units}/burrow.socket`)).toContain('\nListenStream=[::1]:7000\n')
    await using other = await createScratchDir()
    expect(await install(other, '--listen', 'unix:/run/burrow/s.sock', '--socket')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(
        /systemd empties \/run\/burrow when the service stops.*use "unix:\/run\/burrow\.sock/,
      ),
    })
    expect((await install(other, '--listen', 'unix:/run/burrow.sock', '--socket')).code).toBe(0)
    expect(await read(other, `${units}/burrow.socket`)).toContain('\nListenStream=/run/burrow.sock\n')
  })

  test.each([
    [['--listen', '0.0.0.0:80'], 2, /it is not a loopback address/],
    [['--user', '../x'], 2, /Cannot use --user "\.\.\/x": the name is also used for a file/],
  ])('install-service refuses %j', async (args, code, message) => {
    await using dir = await createScratchDir()
    expect(await install(dir, ...args)).toMatchObject({ code, stderr: expect.stringMatching(message) })
    expect(await list(dir)).toEqual([])
  })

  test("install-service replaces its own unit, and another's only with --force", async () => {
    await using dir = await createScratchDir()
    await install(dir)
    const own = await read(dir, `${units}/burrow.service`)
    await writeFile(at(dir, `${units}/burrow.service`), own.replace('WatchdogSec=60', 'WatchdogSec=1'))
    await install(dir)
    expect(await read(dir, `${units}/burrow.service`)).toBe(own)
    // That of an earlier version, which had another text there.
    await writeFile(at(dir, `${units}/burrow.service`), own.replace(/^# burrow\.service: .*/, '# burrow.service: old'))
    await install(dir)
    expect(await read(dir, `${units}/burrow.service`)).toBe(own)
    await writeFile(at(dir, `${units}/burrow.service`), '[Service]\nExecStart=/bin/true\n')
    expect(await install(dir)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/was not written by Burrow; remove it, or use --force/),
    })
    await install(dir, '--force')
    expect(await read(dir, `${units}/burrow.service`)).toBe(own)
  })

  test('install-service restarts a service that has an older copy of a secret, or an older config', async () => {
    await using dir = await createScratchDir()
    const { planInstall } = await import('../../../appliance/systemd/install.ts')
    await install(dir)
    const wish = {
      root: dir.file('stage'),
      program: (await import('../../../appliance/systemd/unit-text.ts')).findProgram,
      listen: '127.0.0.1:8080',
    }
    const program = await wish.program()
    const findLast = async () =>
      (
        await planInstall({
          ...wish,
          program,
          userName: undefined,
          hostName: 'h',
          wantsSocket: false,
          isForced: false,
          isBooted: true,
          env: {},
        })
      ).steps.at(-1)?.what
    expect(await findLast()).toBe('systemctl start burrow.service')
    const copies = at(dir, '/run/credentials/burrow.service')
    await cp(at(dir, '/etc/burrow/credentials'), copies, { recursive: true })
    const later = new Date(Date.now() + 60_000)
    await utimes(copies, later, later)
    expect(await findLast()).toBe('systemctl start burrow.service')
    await writeFile(at(dir, '/etc/burrow/credentials/password-burrow'), 'corrected\n')
    expect(await findLast()).toBe('systemctl restart burrow.service')
    await writeFile(`${copies}/password-burrow`, 'corrected\n')
    await utimes(copies, later, later)
    expect(await findLast()).toBe('systemctl start burrow.service')
    await utimes(at(dir, '/etc/burrow/burrow.json'), later, new Date(later.getTime() + 1000))
    expect(await findLast()).toBe('systemctl restart burrow.service')
  })

  test('install-service tells systemd where it runs, restarts only for a change, and says which command failed', async () => {
    await using dir = await createScratchDir()
    await writeFile(
      dir.file('systemctl'),
      `#!/bin/sh\necho "$*" >> "${dir.file('told')}"\n[ "$1" != start ] || { echo 'Job failed' >&2; exit 1; }\n`,
    )
    await chmod(dir.file('systemctl'), 0o755)
    const { planInstall } = await import('../../../appliance/systemd/install.ts')
    const { runPlan } = await import('../../../appliance/plan/plan.ts')
    const wish = {
      root: dir.file('stage'),
      program: { command: ['/opt/b'] },
      listen: '127.0.0.1:1',
      userName: 'u',
      hostName: 'h',
      isForced: false,
    }
    const plan = (wantsSocket: boolean) =>
      planInstall({ ...wish, wantsSocket, isBooted: true, env: { PATH: `${dir.path}:${process.env.PATH}` } })
    await runPlan((await plan(false)).steps, () => {})
    expect(await readFile(dir.file('told'), 'utf8')).toBe(
      'daemon-reload\nenable burrow.service\nrestart burrow.service\n',
    )
    await writeFile(dir.file('told'), '')
    await expect(runPlan((await plan(true)).steps, () => {})).rejects.toThrow(
      /The command "systemctl start burrow.socket" failed: Job failed\nDone: .*run systemctl enable burrow.service burrow.socket. Not done: run systemctl start burrow.socket, /,
    )
    expect(await readFile(dir.file('told'), 'utf8')).toBe(
      'daemon-reload\nstop burrow.service\nenable burrow.service burrow.socket\nstart burrow.socket\n',
    )
  })
})

describe('the unit that is written', () => {
  test('formatService quotes what systemd would read otherwise', async () => {
    const unit = await formatService({ command: ['/opt/my node', '/opt/100%/$x"/main.ts'] })
    expect(unit).toContain(
      '\nExecStart="/opt/my node" "/opt/100%%/$$x\\"/main.ts" --config /etc/burrow/burrow.json serve\n',
    )
  })

  test.each([
    ['/home/ana/burrow/main.ts', /is in \/home, which ProtectHome= hides/],
    ['/root/burrow/main.ts', /ProtectHome=/],
    ['/tmp/burrow/main.ts', /PrivateTmp=/],
    ['/opt/no-such-thing', /does not exist/],
  ])('findObstacle tells why the service could not start %s', async (file, message) => {
    expect(await findObstacle({ command: ['/bin/sh', file] })).toMatch(message)
  })

  test('findObstacle finds none with a program that everybody may run', async () => {
    expect(await findObstacle({ command: ['/bin/sh', '--flag', '/etc/passwd'] })).toBeUndefined()
    expect(await findObstacle({ command: ['/etc/shadow'] })).toMatch(/may not read "\/etc\/shadow"/)
  })
})

describe('burrow uninstall-service', () => {
  test('uninstall-service undoes the installation and keeps what was made by use', async () => {
    await using dir = await createScratchDir()
    await install(dir, '--socket')
    await mkdir(at(dir, `${units}/multi-user.target.wants`))
    await symlink('../burrow.service', at(dir, `${units}/multi-user.target.wants/burrow.service`))
    await mkdir(at(dir, '/var/lib/private/burrow'), { recursive: true })
    await writeFile(at(dir, '/var/lib/private/burrow/state.json'), '{}')
    const kept = [
      '/etc/burrow/burrow.json',
      '/etc/burrow/credentials/password-burrow',
      '/etc/burrow/credentials/signing-key',
      '/var/lib/private/burrow/state.json',
    ]

    const before = await list(dir)
    await uninstall(dir, '--dry-run')
    expect(await list(dir)).toEqual(before)
    const { code, stderr } = await uninstall(dir)
    expect([code, await list(dir)]).toEqual([0, kept])
    expect(stderr).toContain(`  keep     ${at(dir, '/etc/burrow')}; --purge removes it`)
    await expect(stat(at(dir, `${units}/burrow.service.d`))).rejects.toThrow('ENOENT')

    const purge = await uninstall(dir, '--purge')
    expect([purge.code, await list(dir)]).toEqual([2, kept])
    expect(purge.stderr).toMatch(/delete .*etc\/burrow[\s\S]*--yes/)
    await uninstall(dir, '--purge', '--yes')
    expect(await list(dir)).toEqual([])
    expect((await uninstall(dir)).stderr).toBe('The service is not installed.\n')
  })

  test("uninstall-service leaves the operator's own drop-ins", async () => {
    await using dir = await createScratchDir()
    await install(dir)
    await writeFile(at(dir, `${units}/burrow.service.d/override.conf`), '[Service]\n')
    await uninstall(dir)
    expect(await list(dir)).toContain(`${units}/burrow.service.d/override.conf`)
  })
})
