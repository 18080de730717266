/** `burrow invite` and `burrow use LINK` against the real program. */
import { once } from 'node:events'
import { existsSync, watch } from 'node:fs'
import { mkdir, readFile, symlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { describe, expect, test } from '@jest/globals'

import { basic } from '../fixtures/cache.ts'
import { runBurrow, serve, writeConfig } from './burrow.ts'
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

const run = (dir: ScratchDir, ...args: string[]) => runBurrow(args, { cwd: dir.path })
const tokenIn = (link: string) => /\/join\/([A-Za-z0-9_-]{43})$/m.exec(link)![1]!

describe('burrow invite', () => {
  test('prints a link that makes one user, and lists and revokes invitations', async () => {
    await using dir = await createScratchDir()
    await writeTeamConfig(dir)
    await using served = await serve(dir)
    const made = await run(dir, 'invite', 'ben', '--access', 'pull,push', '--valid', '2h')
    expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(`^${served.url}/join/[A-Za-z0-9_-]{43}\n$`) })
    expect(made.stderr).toMatch(/^It works once, and expires in 2 h\. To revoke it: burrow uninvite ben$/m)
    const link = made.stdout.trim()
    expect(await run(dir, 'invite', 'ben')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('burrow uninvite ben'),
    })
    expect(await run(dir, 'invite', 'ana')).toMatchObject({ code: 1, stderr: expect.stringContaining('in the config') })
    expect((await run(dir, 'invitations')).stdout).toMatch(/^ben {3}pull,push {2}open {3}in 2 h {3}operator {4}-$/m)
    expect(await run(dir, 'uninvite', 'ben')).toMatchObject({ stdout: 'Revoked the invitation for ben.\n' })
    expect((await fetch(link)).status).toBe(404)
    expect(await run(dir, 'uninvite', 'ben')).toMatchObject({ code: 1 })
    expect(await run(dir, 'invite', 'ben', '--valid', '0h')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('from one minute to 90 days'),
    })
    const named = await run(dir, 'invite', 'cleo', '--url', 'https://cache.example.org')
    expect(named.stdout).toMatch(/^https:\/\/cache\.example\.org\/join\//)
    expect(await run(dir, 'user', 'add', 'cleo')).toMatchObject({ code: 0 })
    expect((await fetch(`${served.url}/join/${tokenIn(named.stdout)}`)).status).toBe(404)
    const log = JSON.stringify(served.records)
    for (const secret of [link, named.stdout.trim()]) expect(log).not.toContain(tokenIn(secret))
    expect(await readFile(dir.file('state/users.json'), 'utf8')).not.toContain(tokenIn(link))
  })

  test('an invitation that was made while Burrow did not run works when it does', async () => {
    await using dir = await createScratchDir()
    await writeTeamConfig(dir, { users: [] })
    const { stdout } = await run(dir, 'invite', 'ben')
    await using served = await serve(dir)
    const reply = await fetch(`${served.url}/join/${tokenIn(stdout)}`, { method: 'POST' })
    const { password } = (await reply.json()) as { password: string }
    const headers = { authorization: basic('ben', password) }
    expect((await fetch(`${served.url}/nix-cache-info`, { headers })).status).toBe(200)
  })
})

describe('burrow use with the link of an invitation', () => {
  test('accepts it and sets the machine up; --print and refusals use nothing up', async () => {
    await using dir = await createScratchDir()
    await writeTeamConfig(dir)
    await using served = await serve(dir)
    const link = (await run(dir, 'invite', 'ben')).stdout.trim()
    const root = ['--root', dir.file('root')]
    const shown = await run(dir, 'use', link, '--print', ...root)
    expect(shown).toMatchObject({ code: 0, stdout: expect.stringContaining('login ben password PASSWORD') })
    expect(await run(dir, 'use', link, '--user', 'ben', ...root)).toMatchObject({ code: 2 })
    expect(await run(dir, 'use', link, '--push', ...root)).toMatchObject({
      code: process.geteuid!() === 0 ? 77 : 2,
    })
    const used = await run(dir, 'use', link, ...root)
    expect(used).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringContaining(`The invitation was accepted: this machine is user ben at ${served.url}.`),
    })
    const nixDir = process.geteuid!() === 0 ? 'root/etc/nix' : `root${dir.path}/.config/nix`
    const netrc = await readFile(dir.file(`${nixDir}/netrc`), 'utf8')
    const [, password] = /^machine 127\.0\.0\.1 login ben password (\S+)$/m.exec(netrc)!
    expect(used.stdout).not.toContain(password)
    expect(await readFile(dir.file(`${nixDir}/nix.conf`), 'utf8')).toContain(`extra-substituters = ${served.url}`)
    const headers = { authorization: basic('ben', password!) }
    expect((await fetch(`${served.url}/nix-cache-info`, { headers })).status).toBe(200)
    const again = await run(dir, 'use', link, ...root)
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('was used already. Ask for a new one') })
    expect(again.stderr).not.toContain(tokenIn(link))
    expect(JSON.parse((await run(dir, 'user', 'list', '--json')).stdout).users).toMatchObject([
      {},
      { name: 'ben', source: 'invited', addedBy: 'operator' },
    ])
  })

  test('a machine that cannot be written shows the password, which is known nowhere else', async () => {
    await using dir = await createScratchDir()
    await writeTeamConfig(dir)
    await using served = await serve(dir)
    const link = (await run(dir, 'invite', 'ben')).stdout.trim()
    // It looks empty, and cannot be made.
    const nixDir = process.geteuid!() === 0 ? 'root/etc/nix' : `root${dir.path}/.config/nix`
    await mkdir(dirname(dir.file(nixDir)), { recursive: true })
    await symlink('/proc/nowhere/nix', dir.file(nixDir))
    const failed = await run(dir, 'use', link, '--root', dir.file('root'))
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining('The invitation was accepted, but') })
    const [, password] = /^machine 127\.0\.0\.1 login ben password (\S+)$/m.exec(failed.stderr)!
    const headers = { authorization: basic('ben', password!) }
    expect((await fetch(`${served.url}/nix-cache-info`, { headers })).status).toBe(200)
  })

  test('a cache that is not there, or is none, is named without the token', async () => {
    await using dir = await createScratchDir()
    const token = 'A'.repeat(43)
    const away = await run(dir, 'use', `http://127.0.0.1:9/join/${token}`)
    expect(away).toMatchObject({ code: 75, stderr: expect.stringContaining('Cannot reach http://127.0.0.1:9: ') })
    expect(away.stderr).not.toContain(token)
  })
})

describe('kill -9 while an invitation is accepted', () => {
  // The file is written under a temporary name, renamed, and only then answered.
  test.each(['.users.json.', 'users.json'])('at the first sign of "%s": all or nothing', async (sign) => {
    await using dir = await createScratchDir()
    await writeTeamConfig(dir)
    await mkdir(dir.file('state'), { mode: 0o700 })
    const token = tokenIn((await run(dir, 'invite', 'ben')).stdout)
    {
      await using served = await serve(dir)
      const seen = new AbortController()
      const watcher = watch(dir.file('state'), { signal: seen.signal }, (_event, name) => {
        if (name?.startsWith(sign)) served.kill('SIGKILL')
      })
      const reply = fetch(`${served.url}/join/${token}`, { method: 'POST' }).then(
        ({ status }) => status,
        () => undefined,
      )
      await served.exited
      seen.abort()
      await once(watcher, 'close').catch(() => {})
      await reply
    }
    expect(existsSync(dir.file('state/users.json'))).toBe(true)
    const { users, invitations } = JSON.parse(await readFile(dir.file('state/users.json'), 'utf8'))
    const isMade = users.length === 1
    expect(invitations).toMatchObject([isMade ? { used: expect.any(String) } : { tokenHash: expect.any(String) }])
    await using again = await serve(dir)
    expect((await fetch(`${again.url}/join/${token}`)).status).toBe(isMade ? 404 : 200)
  })
})
