/** `burrow user …` against the real program, running and stopped. */
import { readFile, stat, writeFile } from 'node:fs/promises'
import { describe, expect, test } from '@jest/globals'

import { basic } from '../fixtures/cache.ts'
import { type Outcome, runBurrow, type Served, serve, writeConfig } from './burrow.ts'
import { createScratchDir, type ScratchDir } from './scratch-dir.ts'

async function writeTeamConfig(dir: ScratchDir, config: object = {}): Promise<void> {
  await writeConfig(dir, {
    users: ['ana:long secret'],
    depot: true,
    tunnel: 'off',
    state: { dir: 'state' },
    store: { realDir: dir.file('nix/store') },
    ...config,
  })
}

const user = (dir: ScratchDir, ...args: string[]): Promise<Outcome> => runBurrow(['user', ...args], { cwd: dir.path })

async function statusFor({ url }: Served, name: string, password: string): Promise<number> {
  return (await fetch(`${url}/nix-cache-info`, { headers: { authorization: basic(name, password) } })).status
}

function passwordIn(stdout: string): string {
  return /login \S+ password (\S+)$/m.exec(stdout)![1]!
}

describe('burrow user, while Burrow runs', () => {
  test('a user who is added may pull at once, and one who is removed is refused at once', async () => {
    await using dir = await createScratchDir()
    await writeTeamConfig(dir)
    await using served = await serve(dir)
    const added = await user(dir, 'add', 'ben', '--expires', '90d')
    expect(added).toMatchObject({ code: 0, stderr: '' })
    expect(added.stdout).toMatch(/^# The password is shown only now\.$/m)
    expect(added.stdout).toMatch(/^machine 127\.0\.0\.1 login ben password \w{32}$/m)
    const first = passwordIn(added.stdout)
    expect(await statusFor(served, 'ben', first)).toBe(200)

    const changed = await runBurrow(['user', 'password', 'ben', '--password-stdin'], {
      cwd: dir.path,
      input: 'a password of my own\n',
    })
    expect(changed).toMatchObject({ code: 0 })
    expect(changed.stdout).not.toContain('a password of my own')
    expect(await statusFor(served, 'ben', first)).toBe(401)
    expect(await statusFor(served, 'ben', 'a password of my own')).toBe(200)

    const listed = JSON.parse((await user(dir, 'list', '--json')).stdout)
    expect(listed).toMatchObject({
      running: true,
      users: [
        { name: 'ana', source: 'config', isChangeable: false },
        { name: 'ben', source: 'added', activity: { lastSeen: expect.any(String), requests: expect.any(Number) } },
      ],
    })
    expect((await user(dir, 'list')).stdout).toMatch(/^ben {3}pull {4}in 90 days {2}added {3}\d+ s ago/m)

    expect(await user(dir, 'remove', 'ben')).toMatchObject({ code: 0, stdout: 'Removed user ben.\n' })
    expect(await statusFor(served, 'ben', 'a password of my own')).toBe(401)
    const log = JSON.stringify(served.records)
    expect(log).toContain('"user":"ben"')
    expect(log).not.toContain(first)
  })

  test('access and expiry change what a user may do at once', async () => {
    await using dir = await createScratchDir()
    await writeTeamConfig(dir)
    await using served = await serve(dir)
    const password = passwordIn((await user(dir, 'add', 'ci', '--access', 'push')).stdout)
    const listing = `${served.url}/v1/push`
    const headers = { authorization: basic('ci', password) }
    expect((await fetch(listing, { headers })).status).toBe(200)
    expect(await user(dir, 'access', 'ci', 'pull')).toMatchObject({ stdout: 'User ci may pull.\n' })
    expect((await fetch(listing, { headers })).status).toBe(403)
    const expiring = await user(dir, 'expire', 'ci', '1500ms')
    expect(expiring.stdout).toMatch(/^User ci expires /)
    while ((await statusFor(served, 'ci', password)) !== 401);
    expect(await user(dir, 'expire', 'ci', 'never')).toMatchObject({ stdout: 'User ci does not expire.\n' })
    expect(await statusFor(served, 'ci', password)).toBe(200)
  })

  test('a reload keeps added users, and takes in a restored file; a damaged one changes nothing', async () => {
    await using dir = await createScratchDir()
    await writeTeamConfig(dir)
    await using served = await serve(dir)
    const password = passwordIn((await user(dir, 'add', 'ben')).stdout)
    const good = await readFile(dir.file('state/users.json'), 'utf8')
    await writeTeamConfig(dir, { users: ['cleo:another secret'] })
    served.kill('SIGHUP')
    await served.logged(/Reloaded the config/)
    expect(await statusFor(served, 'ben', password)).toBe(200)
    expect(await statusFor(served, 'ana', 'long secret')).toBe(401)

    await writeFile(dir.file('state/users.json'), good.slice(0, -20))
    served.kill('SIGHUP')
    expect(await served.logged(/Cannot reload the config/)).toMatchObject({
      reason: expect.stringContaining('users.json": it is damaged'),
    })
    expect(await statusFor(served, 'ben', password)).toBe(200)
    expect(await user(dir, 'add', 'dan')).toMatchObject({ code: 1, stderr: expect.stringContaining('it is damaged') })
  })

  test('a port cannot change users, only list them', async () => {
    await using dir = await createScratchDir()
    await writeTeamConfig(dir, { operator: '127.0.0.1:0' })
    await using served = await serve(dir)
    const { operator } = await served.logged(/Burrow is ready/)
    const post = await fetch(`${operator}/team/add`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'mallory', access: ['admin'] }),
    })
    expect({ status: post.status, text: await post.text() }).toEqual({
      status: 403,
      text: expect.stringContaining('Only a unix socket may change the users'),
    })
    const listed = await fetch(`${operator}/team/list`)
    expect(await listed.json()).toMatchObject({ users: [{ name: 'ana' }] })
    expect((await fetch(`${operator}/team/nothing`)).status).toBe(404)
  })
})

describe('burrow user, while Burrow does not run', () => {
  test('it changes the state directory, and the next start knows the users', async () => {
    await using dir = await createScratchDir()
    await writeTeamConfig(dir, { users: [] })
    const added = await user(dir, 'add', 'ben')
    expect(added).toMatchObject({ code: 0 })
    expect((await stat(dir.file('state/users.json'))).mode & 0o777).toBe(0o600)
    expect((await user(dir, 'list')).stdout).toMatch(/^ben .*\nBurrow is not running/m)
    await using served = await serve(dir)
    expect(await statusFor(served, 'ben', passwordIn(added.stdout))).toBe(200)
    const { stdout } = await runBurrow(['client-config', '--user', 'ben'], { cwd: dir.path })
    expect(stdout).toContain('login ben password PASSWORD')
    expect((await runBurrow(['status'], { cwd: dir.path })).stdout).toMatch(/^users {5}ben \(pull; added\)$/m)
  })

  test('a Burrow without users warns, and one that is asked through no socket is not bypassed', async () => {
    await using dir = await createScratchDir()
    await writeTeamConfig(dir, { users: [], operator: null })
    await using served = await serve(dir)
    expect(await served.logged(/There are no users, so everybody is refused/)).toMatchObject({ level: 'warn' })
    expect(await statusFor(served, 'burrow', '')).toBe(401)
    expect(await user(dir, 'add', 'ben')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Burrow is running, but cannot be asked: "operator" is null in the config'),
    })
  })

  test('with the user that the first start made, both may log in', async () => {
    await using dir = await createScratchDir()
    const place = { cwd: dir.path, env: { XDG_STATE_HOME: dir.file('state') } }
    const added = await runBurrow(['user', 'add', 'ben'], place)
    expect(added.stderr).toContain('The user that Burrow made at its first start keeps its access')
    expect((await runBurrow(['user', 'add', 'cleo', '--access', 'push'], place)).code).toBe(0)
  })

  test.each([
    [{ users: undefined, public: true }, 'This cache is public: everyone may pull without a password'],
    [{ mutableUsers: false }, '"mutableUsers" is false in the config'],
    [{ users: ['ben:a password'] }, 'There is a user "ben" in the config already'],
  ])('with %j it is refused', async (config, message) => {
    await using dir = await createScratchDir()
    await writeTeamConfig(dir, config)
    expect(await user(dir, 'add', 'ben')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining(message),
    })
  })

  test('a name that the config has since got is warned of, and the config counts', async () => {
    await using dir = await createScratchDir()
    await writeTeamConfig(dir)
    const password = passwordIn((await user(dir, 'add', 'ben')).stdout)
    await writeTeamConfig(dir, { users: ['ben:of the config'] })
    await using served = await serve(dir)
    expect(await served.logged(/A user of the config was also added/)).toMatchObject({ user: 'ben', level: 'warn' })
    expect(await statusFor(served, 'ben', password)).toBe(401)
    expect(await statusFor(served, 'ben', 'of the config')).toBe(200)
  })
})
