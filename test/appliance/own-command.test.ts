/**
 * What is printed to be typed can be typed: in a checkout, from npm's cache, as a link or a script on PATH, and in the
 * log.
 */
import { execFile } from 'node:child_process'
import { chmod, mkdir, readdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from '@jest/globals'

import { findOwnCommand, nameOwnCommand } from '../../appliance/terminal/own-command.ts'
import { createScratchDir, type ScratchDir } from './scratch-dir.ts'

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')
const run = promisify(execFile)

async function layOut(dir: ScratchDir, at: string): Promise<string> {
  const folder = join(await realpath(dir.path), at)
  for (const part of ['bin', 'appliance']) await mkdir(join(folder, part), { recursive: true })
  for (const file of ['bin/burrow.mjs', 'package.json']) await writeFile(join(folder, file), '{}', { mode: 0o755 })
  return folder
}

const startOf = (folder: string, more: { workingDir?: string; env?: Record<string, string> } = {}) => ({
  env: { PATH: '/usr/bin:/bin', ...more.env },
  workingDir: more.workingDir ?? '/',
  mainDir: join(folder, 'appliance'),
})

describe('findOwnCommand', () => {
  test('in a checkout it is the launcher: by its short name in that folder, else by its whole path, quoted where a shell needs it', async () => {
    await using dir = await createScratchDir()
    const folder = await layOut(dir, "my cache's")
    expect(findOwnCommand(startOf(folder))).toBe(`'${folder.replace("'", "'\\''")}/bin/burrow.mjs'`)
    expect(findOwnCommand(startOf(folder, { workingDir: folder }))).toBe('bin/burrow.mjs')
  })

  test('under npm start the folder of the person counts, not that of npm; what npm has added to PATH does not', async () => {
    await using dir = await createScratchDir()
    const folder = await layOut(dir, 'checkout')
    const npm = (INIT_CWD: string) => ({
      npm_lifecycle_event: 'start',
      INIT_CWD,
      PATH: `${folder}/node_modules/.bin:/usr/bin`,
    })
    await mkdir(join(folder, 'node_modules/.bin'), { recursive: true })
    await symlink('../../bin/burrow.mjs', join(folder, 'node_modules/.bin/burrow'))
    expect(findOwnCommand(startOf(folder, { workingDir: folder, env: npm(folder) }))).toBe('bin/burrow.mjs')
    expect(findOwnCommand(startOf(folder, { workingDir: folder, env: npm('/') }))).toBe(`${folder}/bin/burrow.mjs`)
  })

  test("out of npm's cache it is npx", async () => {
    await using dir = await createScratchDir()
    const folder = await layOut(dir, '.npm/_npx/0123abcd/node_modules/nix-burrow')
    expect(findOwnCommand(startOf(folder))).toBe('npx nix-burrow')
  })

  test('it is "burrow" where that is on PATH and is this program, as a link or as a script', async () => {
    await using dir = await createScratchDir()
    const folder = await layOut(dir, 'package')
    const onPath = async (name: string, make: (file: string) => Promise<void>) => {
      const file = join(dir.file(name), 'burrow')
      await mkdir(dirname(file))
      await make(file)
      return findOwnCommand(startOf(folder, { env: { PATH: `/usr/bin:${dirname(file)}` } }))
    }
    expect(await onPath('link', (file) => symlink(join(folder, 'bin/burrow.mjs'), file))).toBe('burrow')
    const script = (text: string) => async (file: string) => {
      await writeFile(file, text)
      await chmod(file, 0o755)
    }
    expect(await onPath('script', script(`#!/bin/sh\nexec node ${folder}/appliance/main.ts "$@"\n`))).toBe('burrow')
    expect(await onPath('other', script('#!/bin/sh\nexec something-else\n'))).toBe(`${folder}/bin/burrow.mjs`)
  })

  test("without the launcher it is the command of Nix's package", async () => {
    await using dir = await createScratchDir()
    const out = join(await realpath(dir.path), 'out')
    for (const part of ['bin', 'lib/burrow/appliance']) await mkdir(join(out, part), { recursive: true })
    for (const file of ['bin/burrow', 'lib/burrow/package.json'])
      await writeFile(join(out, file), `${out}/lib/burrow/`, { mode: 0o755 })
    const start = startOf(join(out, 'lib/burrow'))
    expect(findOwnCommand(start)).toBe(`${out}/bin/burrow`)
    expect(findOwnCommand({ ...start, env: { PATH: `${out}/bin` } })).toBe('burrow')
  })

  test('$BURROW_COMMAND decides', () => {
    expect(findOwnCommand(startOf(root, { env: { BURROW_COMMAND: 'docker exec cache burrow' } }))).toBe(
      'docker exec cache burrow',
    )
  })
})

describe('nameOwnCommand', () => {
  test.each([
    ['run "burrow tunnel install", or install cloudflared', 'run "./b tunnel install", or install cloudflared'],
    ['Usage: burrow [options] [command]', 'Usage: ./b [options] [command]'],
    ['(run "burrow --help")', '(run "./b --help")'],
    ['\n  burrow --config /etc/burrow/burrow.json serve\n', '\n  ./b --config /etc/burrow/burrow.json serve\n'],
    ['nix build .#a | burrow push --stdin', 'nix build .#a | ./b push --stdin'],
    ['run "sudo burrow install-service"', 'run "sudo ./b install-service"'],
    ['# For the netrc entry: burrow client-config --user ana', '# For the netrc entry: ./b client-config --user ana'],
  ])('%j', (text, expected) => {
    expect(nameOwnCommand(text, './b')).toBe(expected)
  })

  test.each([
    'burrow 0.1.0',
    'machine 127.0.0.1 login burrow password x',
    'user "burrow" has',
    '/etc/burrow/burrow.json',
    'a burrow is',
    '  burrow  3 requests',
  ])('leaves %j as it is', (text) => {
    expect(nameOwnCommand(text, './b')).toBe(text)
  })

  test('a line of the JSON log stays JSON, whatever the command', () => {
    const command = `'/my "old" cache/bin/burrow.mjs'`
    const line = JSON.stringify({ remedy: 'start it with "burrow serve"' })
    expect(JSON.parse(nameOwnCommand(line, command))).toEqual({ remedy: `start it with "${command} serve"` })
  })

  test('finds every command that a message of the sources names', async () => {
    const files = (
      await Promise.all(
        ['appliance', 'src'].map((part) => readdir(join(root, part), { recursive: true, withFileTypes: true })),
      )
    ).flat()
    const texts = await Promise.all(
      files
        .filter(({ name }) => name.endsWith('.ts'))
        .map(({ parentPath, name }) => readFile(join(parentPath, name), 'utf8')),
    )
    const hints = texts.flatMap((text) => [...text.matchAll(/"burrow [^"\n]+"/g)].map(([hint]) => hint))
    expect(hints.length).toBeGreaterThan(40)
    expect(hints.filter((hint) => nameOwnCommand(hint, './b') === hint)).toEqual([])
  })
})

test('in a checkout without burrow on PATH what is printed, typed as it is printed, works', async () => {
  await using dir = await createScratchDir()
  const env = { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, HOME: dir.path }
  const type = (command: string) =>
    run('sh', ['-c', command], { cwd: dir.path, env }).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    )
  const hintsOf = (text: string) => [...text.matchAll(/"([^"\n]*burrow\.mjs [^"\n]+)"/g)].map(([, hint]) => hint!)

  const refused = await type(`${join(root, 'bin/burrow.mjs')} client-config`)
  expect(refused.code).not.toBe(0)
  const init = hintsOf(refused.stderr).find((hint) => hint.endsWith(' init'))!
  expect(await type(init)).toMatchObject({ code: 0 })

  const status = await type(`${join(root, 'bin/burrow.mjs')} status`)
  const hints = hintsOf(status.stdout + status.stderr)
  expect(hints.length).toBeGreaterThan(0)
  for (const hint of hints)
    expect(await type(`${hint} --help`)).toMatchObject({ code: 0, stdout: expect.stringContaining('Usage:') })

  const help = await type(`${join(root, 'bin/burrow.mjs')} --help`)
  expect(help.stdout).toContain(`Usage: ${join(root, 'bin/burrow.mjs')} [options]`)
})
