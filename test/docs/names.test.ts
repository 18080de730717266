/**
 * What the pages name exists: commands and options, settings, metrics, files and headings; and their pieces of Nix and
 * JSON are well-formed.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, expect, test } from '@jest/globals'
import type { Command } from 'commander'

import { createProgram } from '../../appliance/cli.ts'
import { toJsonSchema } from '../../appliance/config/schema.ts'
import type { Machine } from '../../appliance/machine.ts'
import { findBlocks, pages, readPage, root, textOf } from './blocks.ts'

const program = createProgram({
  stdout: new PassThrough(),
  stderr: new PassThrough(),
  env: {},
  args: [],
} as unknown as Machine)

/** Code spans and lines of shell: where a page speaks to the program. */
function findCode(page: string): string[] {
  const text = readPage(page)
  const blocks = findBlocks(text)
    .filter(({ language }) => language === 'sh' || language === '')
    .flatMap(({ lines }) => lines.map((line) => line.text.replace(/\s+# .*$/, '')))
  const spans = [...withoutBlocks(text).matchAll(/`([^`\n]+)`/g)].map(([, span]) => span!)
  return [...blocks, ...spans]
}

const withoutBlocks = (text: string) => text.replaceAll(/^```[\s\S]*?^```$/gm, '')

/** `burrow …` wherever a command may begin. */
function findCalls(code: string): string[][] {
  return [...code.matchAll(/(?:^|[|&;(]\s*|sudo (?:--[\w=-]+ )*)burrow((?: [^|&;<>()]+)?)/g)].map(([, rest]) =>
    rest!.split(/\s+/).filter((word) => word !== ''),
  )
}

/**
 * What is wrong with a call, or `undefined`. Words that are no options and no commands are arguments, or names in
 * prose.
 */
function findFault(words: readonly string[]): string | undefined {
  let command: Command = program
  for (const [index, word] of words.entries()) {
    if (/^-/.test(word)) {
      const flag = word.replace(/=.*$/, '')
      const known = [...command.options, ...program.options].some(({ short, long }) => flag === short || flag === long)
      if (!known && !['-h', '--help'].includes(flag)) return `${command.name()} has no option ${flag}`
      continue
    }
    const child = command.commands.find((candidate) => candidate.name() === word)
    const isValue = /^-/.test(words[index - 1] ?? '')
    if (child !== undefined) command = child
    else if (command.commands.length > 0 && !isValue && /^[a-z-]+$/.test(word))
      return `${command.name()} has no command ${word}`
  }
  return undefined
}

describe('commands', () => {
  test.each(pages)('%s names only commands and options that there are', (page) => {
    const calls = findCode(page).flatMap(findCalls)
    expect(
      calls
        .map((words) => findFault(words) && `burrow ${words.join(' ')}: ${findFault(words)}`)
        .filter((fault) => fault !== undefined),
    ).toEqual([])
  })

  test('a command or an option that there is not would be found', () => {
    expect(findCalls('sudo burrow --config x tunnel setup --hostname y').map(findFault)).toEqual([undefined])
    expect(findCalls('cd x && burrow frobnicate').map(findFault)).toEqual(['burrow has no command frobnicate'])
    expect(findCalls('burrow tunnel start').map(findFault)).toEqual(['tunnel has no command start'])
    expect(findCalls('sudo --preserve-env=X burrow status --hostname y').map(findFault)).toEqual([
      'status has no option --hostname',
    ])
  })

  test('the README names every command', () => {
    const text = readPage('README.md')
    const missing = program.commands
      .map((command) => command.name())
      .filter((name) => !['help', 'version'].includes(name) && !new RegExp(`\\b${name}\\b`).test(text))
    expect(missing).toEqual([])
  })
})

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly anyOf?: readonly Schema[]
  readonly items?: Schema
}

const membersOf = (schema: Schema): [string, Schema][] => [
  ...Object.entries(schema.properties ?? {}),
  ...(schema.anyOf ?? []).flatMap(membersOf),
]

/** All settings with a dot in them: `larder.maxBytes`. */
function findSettings(): Set<string> {
  const top = membersOf(toJsonSchema() as Schema)
  return new Set(top.flatMap(([name, schema]) => membersOf(schema).map(([member]) => `${name}.${member}`)))
}

describe('settings', () => {
  const settings = findSettings()
  const groups = new Set([...settings].map((name) => name.slice(0, name.indexOf('.'))))

  test.each(pages)('%s names only settings that there are', (page) => {
    const named = findCode(page).flatMap((code) => code.match(/^[a-zA-Z]+\.[a-zA-Z]+(?=$|: |=)/) ?? [])
    expect(
      named.filter(
        (name) =>
          groups.has(name.split('.')[0]!) && !settings.has(name) && !/\.(?:json|sock|db|md|service|socket)$/.test(name),
      ),
    ).toEqual([])
  })

  test('the settings of the schema are found', () => {
    for (const name of [
      'larder.maxBytes',
      'tunnel.tokenFile',
      'signing.keyFiles',
      'limits.firstByteSeconds',
      'log.requests',
    ])
      expect(settings).toContain(name)
  })

  test.each(pages)('the JSON of %s is JSON, of settings that there are', (page) => {
    const top = new Set(membersOf(toJsonSchema() as Schema).map(([name]) => name))
    const blocks = findBlocks(readPage(page)).filter(({ language }) => language === 'json')
    const members = blocks.flatMap((block) => Object.keys(JSON.parse(textOf(block)) as object))
    expect(members.filter((name) => !top.has(name))).toEqual([])
  })
})

test.each(pages)('%s names only metrics that there are', (page) => {
  const dir = join(root, 'appliance/operator')
  const source = readdirSync(dir)
    .filter((name) => name.endsWith('metrics.ts'))
    .map((name) => readFileSync(join(dir, name), 'utf8'))
    .join()
  const metrics: readonly string[] = source.match(/\bburrow_\w+/g) ?? []
  // `burrow_depot_*` stands for several.
  const isThere = (name: string) =>
    name.endsWith('_') ? metrics.some((metric) => metric.startsWith(name)) : metrics.includes(name)
  expect((readPage(page).match(/\bburrow_[a-z]\w+/g) ?? []).filter((name) => !isThere(name))).toEqual([])
})

test.each(pages)('%s promises only findings that the doctor can have', (page) => {
  const dir = join(root, 'appliance/doctor')
  const source = readdirSync(dir).map((name) => readFileSync(join(dir, name), 'utf8'))
  const words = new Set(source.join('\n').match(/(?<=')[a-z][a-z0-9.-]+(?=')/g))
  const promised = [...readPage(page).matchAll(/Doctor(?:, [^:|]*)?: ((?:`[^`]+`(?:, )?)+)/g)].flatMap(
    ([, list]) => list!.match(/[^`, ]+/g)!,
  )
  expect(promised.filter((word) => !words.has(word))).toEqual([])
  expect(promised.length >= 10).toBe(page === 'docs/guide.md')
})

describe('links', () => {
  test.each(pages)('%s links only to files and headings that there are', (page) => {
    const links = [...withoutBlocks(readPage(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!)
    expect(links.filter((link) => !/^https?:/.test(link) && !isThere(page, link))).toEqual([])
  })

  test('a heading becomes its anchor', () => {
    expect(isThere('docs/guide.md', '#1-the-machine')).toBe(true)
    expect(isThere('docs/guide.md', '#2-the-machine')).toBe(false)
  })
})

function isThere(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#')
  const file = path === '' ? page : join(dirname(page), path)
  if (!existsSync(join(root, file))) return false
  return anchor === undefined || findAnchors(readPage(file)).includes(anchor)
}

/** As GitHub makes them. */
function findAnchors(text: string): string[] {
  return [...withoutBlocks(text).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

test.each(pages)('the Nix of %s can be parsed', (page) => {
  for (const block of findBlocks(readPage(page)).filter(({ language }) => language === 'nix')) {
    const { status, stderr } = spawnSync('nix-instantiate', ['--store', 'dummy://', '--parse', '-'], {
      input: `{ burrow, ... }: {\n${textOf(block)}\n}`,
      encoding: 'utf8',
    })
    expect([status, stderr.match(/^error.*/m)]).toEqual([0, null])
  }
})
