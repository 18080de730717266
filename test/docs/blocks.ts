/**
 * A page of the documentation as its fenced blocks, with the places where they stand. CommonMark, "Fenced code blocks";
 * only what the pages use: three backticks at the start of a line.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Block {
  /** What stands behind the backticks: `sh`, `json`, or nothing. */
  readonly language: string
  /** With their line numbers in the page, from 1. */
  readonly lines: readonly { readonly number: number; readonly text: string }[]
}

/** README.md and what lies in docs. */
export const pages: readonly string[] = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

export function readPage(page: string): string {
  return readFileSync(join(root, page), 'utf8')
}

export function findBlocks(text: string): Block[] {
  const blocks: Block[] = []
  let open: { language: string; lines: { number: number; text: string }[] } | undefined
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^```(\w*)$/.exec(line)
    if (fence === null) open?.lines.push({ number: index + 1, text: line })
    else if (open !== undefined) {
      blocks.push(open)
      open = undefined
    } else open = { language: fence[1]!, lines: [] }
  }
  if (open !== undefined) throw new Error(`A block is not closed: ${open.lines[0]?.text}`)
  return blocks
}

export const textOf = ({ lines }: Block): string => lines.map(({ text }) => text).join('\n')

/** Behind a command which the test cannot run, and for a reader who wonders why it does nothing for him. */
export const marks = ['needs Cloudflare', 'needs the Internet', 'needs ssh', 'needs systemd', 'takes minutes'] as const

/** `run`: by the test. A comment that is no mark is only a comment. */
export function findFate(command: string): 'run' | (typeof marks)[number] {
  const comment = /\s# (.+)$/.exec(command)?.[1]
  return marks.find((mark) => mark === comment) ?? 'run'
}
