/**
 * A page's commands as one session of a reader, top to bottom, on a machine made up by machine.sh. Each line is
 * announced before it runs, so that a failure names its place:
 *
 *   @@ docs/guide.md:41 burrow check-config
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import type { BuiltClosure, NixFixture, ScratchStore } from '../fixtures/nix.ts'
import { type Block, findBlocks, findFate, readPage, root, textOf } from './blocks.ts'

export interface Session {
  readonly code: number | null
  /** Standard output and standard error, as they came. */
  readonly transcript: string
}

const quote = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`

/** What the pages leave to the reader. */
function fillIn(command: string, closure: BuiltClosure): string {
  return command.replaceAll(/\/nix\/store\/…-[\w.-]+/g, closure.app).replaceAll('/usr/local/bin/', '"$scratch"/bin/')
}

/**
 * Lines that tell clients something are pasted at the client, which is the same machine here; those that read from the
 * terminal get the tunnel's token.
 */
function toStep(command: string): string {
  if (command === 'npm start') return 'cd /opt/burrow; foreground npm start'
  if (/\b(?:client-config|install-service --user)\b/.test(command))
    return `${command} < /dev/null | tee "$scratch/told"; paste_setup "$scratch/told"`
  const asks = command.includes('/dev/stdin') && !command.includes('|')
  return `{ ${command}; } < ${asks ? '"$scratch/edge/token"' : '/dev/null'}`
}

export function findRunnable(page: string): string[] {
  return findBlocks(readPage(page))
    .filter(({ language }) => language === 'sh')
    .flatMap(({ lines }) => lines.map(({ text: line }) => line))
    .filter((line) => line !== '' && findFate(line) === 'run')
}

function toSteps(page: string, block: Block, closure: BuiltClosure): string[] {
  const announce = (number: number, what: string) => `printf '@@ %s\\n' ${quote(`${page}:${number} ${what}`)}`
  if (block.language === 'json')
    return [announce(block.lines[0]!.number, '(a block for the config)'), `merge ${quote(textOf(block))}`]
  if (block.language !== 'sh') return []
  return block.lines
    .filter(({ text: line }) => line !== '' && findFate(line) === 'run')
    .flatMap(({ number, text: line }) => [
      announce(number, line),
      toStep(fillIn(line.replace(/\s+# .*$/, ''), closure)),
    ])
}

export interface Wish {
  readonly nix: NixFixture
  readonly store: ScratchStore
  readonly closure: BuiltClosure
  /** Commands before the page's own. */
  readonly first?: readonly string[]
  /** Commands after them. */
  readonly last?: readonly string[]
}

export async function runPage(page: string, { nix, store, closure, first = [], last = [] }: Wish): Promise<Session> {
  const scratch = await nix.makeDir('docs')
  const steps = findBlocks(readPage(page)).flatMap((block) => toSteps(page, block, closure))
  const begin = [
    `source ${quote(join(root, 'test/docs/machine.sh'))}`,
    ...first.map((line) => fillIn(line, closure)),
    'cd',
    'exec 2>&1',
    'set +u',
  ]
  await writeFile(
    join(scratch, 'page.sh'),
    `${[...begin, ...steps, ...last.map((line) => fillIn(line, closure)), 'echo "@@ end"'].join('\n')}\n`,
  )

  const namespaces = [
    '--mount',
    '--net',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
    ...(process.getuid?.() === 0 ? [] : ['--map-root-user']),
  ]
  const args = [...namespaces, 'bash', join(scratch, 'page.sh'), scratch, root, join(store.root, 'nix')]
  const child = spawn('unshare', args, { env: { PATH: process.env.PATH }, stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, error, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code, transcript: out + error }
}
