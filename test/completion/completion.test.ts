/** `burrow completion`, asked in real shells: every command, option, choice and file of the real command line. */
import { writeFile } from 'node:fs/promises'
import { PassThrough } from 'node:stream'
import { describe, expect, test } from '@jest/globals'
import { Argument, Command, Option } from 'commander'

import { createProgram } from '../../appliance/cli.ts'
import { formatBashCompletion } from '../../appliance/completion/bash.ts'
import { type CommandNode, listNodes, readCommandTree } from '../../appliance/completion/command-tree.ts'
import { formatFishCompletion } from '../../appliance/completion/fish.ts'
import { formatZshCompletion } from '../../appliance/completion/zsh.ts'
import type { Machine } from '../../appliance/machine.ts'
import { runBurrow } from '../appliance/burrow.ts'
import { createScratchDir } from '../appliance/scratch-dir.ts'
import { testWithPrograms } from '../fixtures/programs.ts'
import { openShell, type ShellName } from './shells.ts'

const formats = { bash: formatBashCompletion, zsh: formatZshCompletion, fish: formatFishCompletion } as const
const needed = { bash: ['bash', 'script'], zsh: ['zsh', 'script'], fish: ['fish'] } as const

const root = readCommandTree(
  createProgram({
    stdout: new PassThrough(),
    stderr: new PassThrough(),
    env: {},
    args: [],
  } as unknown as Machine),
)

/** A command line with what the real one may get: every kind of value, and texts that a shell could take for its own. */
function createHostile(): CommandNode {
  const hostile = `it's "quoted" [brackets] a:b $(touch owned) \`touch owned\` \\ % ; & *`
  const program = new Command('burrow').option('-c, --config <file>', hostile)
  program
    .addCommand(
      new Command('paint')
        .description(hostile)
        .addOption(new Option('--colour <name>', hostile).choices(['red', 'dark-blue', 'green']))
        .option('--into <dir>', hostile)
        .addOption(new Option('-c, --config <file>').hideHelp())
        .option('--maybe [thing]', hostile)
        .option('-n, --name <text>', hostile)
        .addArgument(new Argument('<wall>', hostile).choices(['north', 'south']))
        .argument('[path...]'),
    )
    .addCommand(new Command('show').addCommand(new Command('all').option('--json', 'as JSON')))
  return readCommandTree(program)
}

describe('readCommandTree', () => {
  const find = (path: string) => listNodes(root).find((node) => node.path === path)!

  test('has every command and every option that --help shows, and --config everywhere', () => {
    expect(root.commands.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['serve', 'push', 'tunnel', 'completion', 'help']),
    )
    expect(find('burrow tunnel setup').options.flatMap(({ flags }) => flags)).toEqual(
      expect.arrayContaining(['--hostname', '--dry-run', '--config', '-c', '--help']),
    )
    // Hidden, and not for people.
    expect(find('burrow tunnel setup').options.flatMap(({ flags }) => flags)).not.toContain('--api-url')
  })

  test('knows files, directories, choices and commands from the names of values', () => {
    const value = (path: string, flag: string) => find(path).options.find(({ flags }) => flags.includes(flag))!.value
    expect(value('burrow serve', '--config')).toMatchObject({ kind: 'file' })
    expect(value('burrow tunnel install', '--to')).toMatchObject({ kind: 'directory' })
    expect(value('burrow push', '--to')).toMatchObject({ kind: 'text' })
    expect(value('burrow push', '--json')).toBeUndefined()
    expect(find('burrow push').arguments).toMatchObject([{ value: { kind: 'file' }, isVariadic: true }])
    expect(find('burrow completion').arguments).toMatchObject([{ value: { words: ['bash', 'zsh', 'fish'] } }])
    expect(find('burrow tunnel help').arguments).toMatchObject([
      { value: { words: expect.arrayContaining(['setup', 'teardown']) } },
    ])
  })

  test('every option that is named for a file or a directory completes one', () => {
    const wrong = listNodes(root).flatMap(({ path, options }) =>
      options
        .filter(({ flags, value }) => {
          const wanted = flags.some((flag) => flag.endsWith('-file')) ? 'file' : undefined
          const alsoWanted = flags.some((flag) => flag.endsWith('-dir')) ? 'directory' : wanted
          return alsoWanted !== undefined && value !== undefined && value.kind !== alsoWanted
        })
        .map(({ flags }) => `${path} ${flags.join(' ')}`),
    )
    expect(wrong).toEqual([])
  })
})

describe.each(['bash', 'zsh', 'fish'] as const)('in %s', (shell: ShellName) => {
  const testInShell = testWithPrograms(`${shell} bsdutils`, needed[shell])

  testInShell(
    'every command and every option of the real command line is completed',
    async () => {
      await using dir = await createScratchDir()
      const complete = await openShell(shell, formats[shell](root), dir)
      const groups = listNodes(root).filter(({ commands }) => commands.length > 0)
      const nodes = listNodes(root).filter(({ options }) => options.length > 0)
      const found = await complete([...groups.map(({ path }) => `${path} `), ...nodes.map(({ path }) => `${path} --`)])
      for (const [index, { path, commands }] of groups.entries())
        expect([path, [...found[index]!].sort()]).toEqual([
          path,
          [...path.split(' ').slice(1), ...commands.map(({ name }) => name)].sort(),
        ])
      for (const [index, { path, options }] of nodes.entries())
        expect([path, [...found[groups.length + index]!].sort()]).toEqual([
          path,
          [
            ...path.split(' ').slice(1),
            ...options.flatMap(({ flags }) => flags.filter((flag) => flag.startsWith('--'))),
          ].sort(),
        ])
    },
    60_000,
  )

  testInShell(
    'values are completed as what they are, wherever they stand, and hostile texts stay texts',
    async () => {
      await using dir = await createScratchDir()
      const complete = await openShell(shell, formats[shell](createHostile()), dir)
      await writeFile(dir.file('wall paper.json'), '')
      const cases: readonly (readonly [line: string, completed: readonly string[]])[] = [
        ['burrow pa', ['paint']],
        ['burrow --config x.json pa', ['--config', 'x.json', 'paint']],
        ['burrow -c x.json show ', ['-c', 'x.json', 'show', 'all', 'help']],
        ['burrow show all --js', ['show', 'all', '--json']],
        ['burrow paint --colour ', ['paint', '--colour', 'red', 'dark-blue', 'green']],
        ['burrow paint --colour d', ['paint', '--colour', 'dark-blue']],
        ['burrow paint --colour=d', ['paint', '--colour=dark-blue']],
        ['burrow paint ', ['paint', 'north', 'south']],
        ['burrow paint --name south ', ['paint', '--name', 'south', 'north', 'south']],
        ['burrow paint --name https://x:80/y s', ['paint', '--name', 'https://x:80/y', 'south']],
        ['burrow paint --maybe n', ['paint', '--maybe', 'north']],
        ['burrow paint north wal', ['paint', 'north', 'wall paper.json']],
        ['burrow paint --config wal', ['paint', '--config', 'wall paper.json']],
        ['burrow help s', ['help', 'show']],
        ['burrow paint --into r', ['paint', '--into', 'rc/']],
        ['burrow paint --name r', ['paint', '--name', ...(shell === 'fish' ? [] : ['r'])]],
      ]
      const found = await complete(cases.map(([line]) => line))
      const sorted = (words: readonly string[]) =>
        [...words].map((word) => word.replaceAll('\\ ', ' ').replace(/^rc$/, 'rc/')).sort()
      for (const [index, [line, completed]] of cases.entries())
        expect([line, sorted(found[index]!)]).toEqual([line, sorted(completed)])
      await expect(writeFile(dir.file('owned'), '', { flag: 'wx' })).resolves.toBeUndefined()
    },
    60_000,
  )

  test('the command prints the script, under the name "burrow" whatever this program is called', async () => {
    await using dir = await createScratchDir()
    const env = { BURROW_COMMAND: 'npx nix-burrow' }
    const { code, stdout } = await runBurrow(['completion', shell], { cwd: dir.path, env })
    expect(code).toBe(0)
    expect(stdout).toBe(formats[shell](root))
    expect(stdout).not.toContain('npx')
  })
})

test('another shell is refused with the names of those that are known', async () => {
  await using dir = await createScratchDir()
  const { code, stderr } = await runBurrow(['completion', 'tcsh'], { cwd: dir.path })
  expect(code).toBe(2)
  expect(stderr).toContain('Allowed choices are bash, zsh, fish.')
})
