/** `burrow tunnel install`: in this process with a download of its own, and as the real program. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import { Command } from 'commander'

import { tunnelInstallCommand } from '../../../appliance/commands/tunnel/install.ts'
import type { FetchFile } from '../../../appliance/tunnel/find/fetch-file.ts'
import { runBurrow } from '../burrow.ts'
import { runCommand } from '../run-command.ts'
import { createScratchDir, type ScratchDir } from '../scratch-dir.ts'
import { program, sha256Of, version } from './release-server.ts'

const bring =
  (content: string): FetchFile =>
  async ({ to }) => {
    writeFileSync(to, content)
    return sha256Of(content)
  }

function install(dir: ScratchDir, args: readonly string[], { content = program, path = dir.file('empty') } = {}) {
  const env = { STATE_DIRECTORY: dir.file('state'), PATH: path }
  return runCommand(
    (machine) => new Command('tunnel').addCommand(tunnelInstallCommand(machine, bring(content))),
    ['tunnel', 'install', ...args],
    { dir, env },
  )
}

const known = ['--sha256', sha256Of(program)]

describe('burrow tunnel install', () => {
  test('says beforehand what it fetches and from where, and then where it is; the second time that it is there', async () => {
    await using dir = await createScratchDir()
    const first = await install(dir, known)
    expect(first).toMatchObject({
      code: 0,
      stdout: `Installed cloudflared ${version} as "${dir.file('state/bin/cloudflared')}"; its SHA-256 is correct\n`,
    })
    expect(first.stderr).toMatch(
      /^Downloading cloudflared 2026\.10\.0 from https:\/\/github\.com\/cloudflare\/cloudflared\/\S+ \(3\d\.\d MiB\)\n$/,
    )
    expect(await install(dir, known)).toEqual({
      code: 0,
      stdout: expect.stringMatching(/is already installed .* nothing was changed\n$/),
      stderr: '',
    })
    expect((await install(dir, [...known, '--force'])).stdout).toMatch(/^Installed/)
  })

  test('says so when another cloudflared is taken before it', async () => {
    await using dir = await createScratchDir()
    mkdirSync(dir.file('path'))
    const other = dir.file('path/cloudflared')
    writeFileSync(other, '#!/bin/sh\necho DEV\n')
    chmodSync(other, 0o755)
    const { stdout } = await install(dir, known, { path: dir.file('path') })
    expect(stdout).toContain(
      `Note: Burrow prefers "${other}" (version DEV); to use this one, set "tunnel": { "binary": `,
    )
    writeFileSync(other, '#!/bin/sh\necho 2024.1.1\n')
    expect((await install(dir, known, { path: dir.file('path') })).stdout).not.toContain('Note')
  })

  test('--to: into a directory that exists, and says when nothing looks there', async () => {
    await using dir = await createScratchDir()
    mkdirSync(dir.file('bin'))
    const path = dir.file('bin/cloudflared')
    const found = await install(dir, [...known, '--to', 'bin'], { path: dir.file('bin') })
    expect(found).toMatchObject({
      code: 0,
      stdout: `Installed cloudflared ${version} as "${path}"; its SHA-256 is correct\n`,
    })
    const lost = await install(dir, [...known, '--to', 'bin'])
    expect(lost.stdout).toMatch(
      new RegExp(`already.*\\nNote: it is not on PATH.*set "tunnel": { "binary": "${path}" }\\n$`),
    )
    expect(readdirSync(dir.path)).toEqual(['bin'])
    for (const [to, reason] of [
      ['nowhere', /nowhere": .*; give an existing directory/],
      ['bin/cloudflared', /is not a directory/],
    ] as const) {
      expect(await install(dir, [...known, '--to', to])).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(reason),
      })
    }
  })

  test('takes a config whose secrets are those of the service alone, and one without users', async () => {
    await using dir = await createScratchDir()
    const tunnel = { mode: 'token', token: '$TOKEN_OF_THE_SERVICE', hostname: 'cache.example.org' }
    const config = { users: ['ben:$PASSWORD_OF_THE_SERVICE'], tunnel, state: { dir: 'mine' } }
    for (const content of [config, { state: { dir: 'mine' } }]) {
      writeFileSync(dir.file('burrow.json'), JSON.stringify(content), { mode: 0o600 })
      expect(await install(dir, [...known, '--force'])).toMatchObject({
        code: 0,
        stdout: expect.stringContaining(dir.file('mine/bin/cloudflared')),
      })
    }
  })

  const whenRoot = process.geteuid?.() === 0 ? test : test.skip

  whenRoot('root writes nothing where another user, or everybody, may put links, and says where instead', async () => {
    await using dir = await createScratchDir()
    for (const name of ['state', 'open']) mkdirSync(dir.file(name), { mode: 0o700 })
    chownSync(dir.file('state'), 61_234, 61_234)
    chmodSync(dir.file('open'), 0o777)
    expect(await install(dir, known)).toMatchObject({
      code: 78,
      stderr: expect.stringMatching(
        /state": it belongs to user 61234, .*"burrow tunnel install --to \/usr\/local\/bin"\n$/,
      ),
    })
    expect(await install(dir, [...known, '--to', 'state'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('belongs to user 61234'),
    })
    expect(await install(dir, [...known, '--to', 'open'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('all users may write there'),
    })
    expect([...readdirSync(dir.file('state')), ...readdirSync(dir.file('open'))]).toEqual([])
  })

  test('warns of a version that was withdrawn', async () => {
    await using dir = await createScratchDir()
    const content = '#!/bin/sh\necho 2026.8.1\n'
    const { code, stdout } = await install(dir, ['--version', '2026.8.1', '--sha256', sha256Of(content)], { content })
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/Warning: cloudflared 2026\.8\.1 was withdrawn by Cloudflare.*installs 2026\.10\.0\n/),
    ])
  })

  test('warns of a version that is too old', async () => {
    await using dir = await createScratchDir()
    const content = '#!/bin/sh\necho 2025.4.0\n'
    const { code, stdout } = await install(dir, ['--version', '2025.4.0', '--sha256', sha256Of(content)], { content })
    expect([code, stdout]).toEqual([
      0,
      expect.stringContaining('Warning: cloudflared 2025.4.0 is too old: Burrow wants 2025.7.0 or newer'),
    ])
  })

  test('refuses a version whose SHA-256 it does not know, before anything is made', async () => {
    await using dir = await createScratchDir()
    const { code, stderr } = await install(dir, ['--version', '2026.8.2'])
    expect([code, stderr]).toEqual([2, expect.stringMatching(/^Cannot install cloudflared: .*--sha256: it stands at/)])
    expect(readdirSync(dir.path)).toEqual([])
  })

  test('a wrong SHA-256 fails, with both in the message', async () => {
    await using dir = await createScratchDir()
    const { code, stdout, stderr } = await install(dir, ['--sha256', '0'.repeat(64)])
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(new RegExp(`${sha256Of(program)} instead of 0{64}`))
    expect(readdirSync(dir.file('state/bin'))).toEqual([])
  })
})

/** A proxy that is asked for GitHub: the only way out that the program under test has. */
async function openProxy(onConnect: (server: Server, refuse: () => void) => void) {
  const asked: string[] = []
  const server = createServer().on('connect', (request, socket) => {
    asked.push(request.url!)
    onConnect(server, () => socket.end('HTTP/1.1 403 Forbidden\r\n\r\n'))
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    asked,
    env: (dir: ScratchDir) => ({ STATE_DIRECTORY: dir.file('state'), HTTPS_PROXY: url }),
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
}

describe('the program', () => {
  test('fetches from GitHub by the proxy that the environment names, and tells plainly that it cannot', async () => {
    await using dir = await createScratchDir()
    await using proxy = await openProxy((_server, refuse) => refuse())
    const { code, stdout, stderr } = await runBurrow(['tunnel', 'install'], { cwd: dir.path, env: proxy.env(dir) })
    expect(proxy.asked).toEqual(['github.com:443'])
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(
      /^Downloading cloudflared .*\nCannot install cloudflared 2026\.10\.0: it cannot be fetched from https:\/\/github\.com\/.*: .+; try again, or .*\n$/,
    )
    expect(stderr).not.toMatch(/^\s+at /m)
    expect(readdirSync(dir.file('state/bin'))).toEqual([])
  })

  test.each(['SIGINT', 'SIGTERM'] as const)('%s ends it and leaves nothing', async (signal) => {
    await using dir = await createScratchDir()
    let tell = () => {}
    const connecting = new Promise<void>((resolve) => {
      tell = resolve
    })
    await using proxy = await openProxy(() => tell())
    const main = fileURLToPath(new URL('../../../appliance/program.ts', import.meta.url))
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, 'tunnel', 'install'], {
      env: { PATH: process.env.PATH, HOME: dir.path, BURROW_COMMAND: 'burrow', ...proxy.env(dir) },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const said = text(child.stderr)
    const ended = once(child, 'close')
    await connecting
    child.kill(signal)
    expect((await ended)[0]).toBe(130)
    expect(await said).toMatch(/\nInterrupted: nothing was installed\n$/)
    expect(readdirSync(dir.file('state/bin'))).toEqual([])
  })

  test('takes --config and --version behind the command', async () => {
    await using dir = await createScratchDir()
    writeFileSync(dir.file('b.json'), '{"users":["ben:secret"],"state":{"dir":"mine"}}', { mode: 0o600 })
    mkdirSync(dir.file('mine/bin'), { recursive: true, mode: 0o700 })
    writeFileSync(dir.file('mine/bin/cloudflared'), program, { mode: 0o755 })
    const args = ['tunnel', 'install', '--config', 'b.json', '--version', version, ...known]
    const { code, stdout, stderr } = await runBurrow(args, { cwd: dir.path })
    expect([code, stderr, stdout]).toEqual([0, '', expect.stringContaining('is already installed')])
    expect(readFileSync(dir.file('mine/bin/cloudflared'), 'utf8')).toBe(program)
  })
})
