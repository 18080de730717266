/**
 * The documents keep their word: every line of their `sh` blocks runs here, or says what it needs (`# needs …`, a block headed `# on a client`); every command, option, setting
 * and link they name is there.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from '@jest/globals'
import type { Command } from 'commander'

import { createProgram } from '../../appliance/cli.ts'
import type { Machine } from '../../appliance/machine.ts'
import { serveBurrow } from '../appliance/burrow.ts'
import { createScratchDir, type ScratchDir } from '../appliance/scratch-dir.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)
const documents = ['README.md', 'docs/guide.md', 'docs/tunnel.md', 'docs/cloudflare.md', 'docs/systemd.md', 'docs/configuration.md']
const read = (name: string) => readFile(join(root, name), 'utf8')

/** What cannot be undone, or is what runs this test. */
const elsewhere = /^(?:npm |sudo |systemctl |install |nixos-rebuild |nix build |git )/

interface Line {
  readonly text: string
  readonly isMarked: boolean
}

function linesOf(markdown: string): Line[] {
  const blocks = [...markdown.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block]) => block!.trim().split('\n'))
  return blocks.flatMap((lines) => {
    let isOnClient = false
    return lines.flatMap((text) => {
      if (text.startsWith('#')) isOnClient = /^# on a client/.test(text)
      return text === '' || text.startsWith('#') ? [] : [{ text, isMarked: isOnClient || /# needs /.test(text) }]
    })
  })
}

async function openShell(dir: ScratchDir): Promise<(line: string) => Promise<string>> {
  await mkdir(dir.file('bin'))
  const program = `#!/bin/sh\nexec "${process.execPath}" --disable-warning=ExperimentalWarning "${root}appliance/main.ts" "$@"\n`
  await writeFile(dir.file('bin/burrow'), program)
  await chmod(dir.file('bin/burrow'), 0o755)
  await writeFile(dir.file('password-file'), 'a good password\n')
  const env = { PATH: `${dir.file('bin')}:${process.env.PATH}`, HOME: dir.path }
  return async (line) => (await run('sh', ['-c', line], { cwd: dir.path, env })).stdout
}

test('every command of the guide runs, in its order, unless it says what it needs', async () => {
  await using dir = await createScratchDir()
  const shell = await openShell(dir)
  const lines = linesOf(await read('docs/guide.md'))
  const printed = new Map<string, string>()
  for (const { text } of lines.filter(({ isMarked }) => !isMarked)) {
    const command = text.replace(/\s+#.*$/, '')
    if (command === 'burrow serve') {
      await using served = await serveBurrow(['--listen', '127.0.0.1:0', '--no-tunnel'], { cwd: dir.path })
      served.kill('SIGTERM')
      expect(await served.exited).toEqual({ code: 0, signal: null })
    } else printed.set(command, await shell(command))
  }
  expect(printed.get('burrow hash-password < password-file')).toMatch(/^\$argon2id\$/)
  expect(printed.get('burrow client-config --user ben --url https://cache.example.org')).toMatch(/^machine cache\.example\.org login ben password \S+$/m)
  expect(lines.filter(({ isMarked }) => isMarked).length).toBeGreaterThan(4)
})

test.each(documents)('%s names no command or option that is not there', async (name) => {
  const program = createProgram({ stdout: process.stdout, stderr: process.stderr, env: {} } as unknown as Machine)
  const named = [...(await read(name)).matchAll(/(?:^|[`(\s])burrow ((?:[a-z][a-z-]*|--?[a-z][a-z-]*)(?: [^`\n|;<>]*)?)/gm)].map(([, words]) => words!)
  const commands = named.filter((words) => /^[a-z]/.test(words) && (program.commands.some((command) => words.startsWith(command.name())) || /--/.test(words)))
  for (const words of commands) expect([words, findFault(program, words.split(/\s+/))]).toEqual([words, undefined])
})

/** Follows subcommands as far as the words go; every `--option` among them must be known there or above. */
function findFault(program: Command, words: readonly string[]): string | undefined {
  let command = program
  const known = new Set(['--help', '--version', ...longOptions(program)])
  for (const word of words) {
    if (word.startsWith('--')) {
      const option = word.replace(/[=,.:)"'].*$/, '')
      if (!known.has(option)) return `${command.name()} has no ${option}`
      continue
    }
    const next = command.commands.find((child) => child.name() === word.replace(/[,.:)]+$/, ''))
    if (next === undefined) continue
    command = next
    for (const option of longOptions(next)) known.add(option)
  }
  return command === program ? 'there is no such command' : undefined
}

function longOptions(command: Command): string[] {
  return command.options.flatMap(({ long }) => (long === undefined || long === null ? [] : [long]))
}

describe('links', () => {
  test.each([...documents, 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md'])('%s leads nowhere that is not there', async (name) => {
    const targets = [...(await read(name)).matchAll(/\]\((?!https?:|#)([^)\s]+)\)/g)].map(([, target]) => target!)
    for (const target of targets) {
      const [path = '', anchor] = target.split('#')
      const file = resolve(root, dirname(name), path)
      expect([target, existsSync(file)]).toEqual([target, true])
      if (anchor !== undefined) expect([target, anchorsOf(await readFile(file, 'utf8')).includes(anchor)]).toEqual([target, true])
    }
  })
})

function anchorsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .trim()
      .replaceAll(/\s/g, '-'),
  )
}

test('README tells the two commands and the three ways in', async () => {
  const text = await read('README.md')
  for (const words of ['npm start', 'npm test', 'burrow install-service', 'services.burrow', 'docs/guide.md']) expect(text).toContain(words)
  expect(linesOf(text).filter(({ text: line, isMarked }) => !isMarked && !elsewhere.test(line) && !line.startsWith('burrow '))).toEqual([])
})
