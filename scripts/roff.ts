/** Manual pages in roff with the macros of man(7). What looks like roff in a text is escaped. */

/** Of one line or a paragraph. */
export function escapeRoff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('"', '\\(dq')
    .replaceAll('…', '...')
    .replaceAll(/^\./gm, '\\&.')
}

export const heading = (title: string) => `.SH ${title}\n`
export const subheading = (title: string) => `.SS ${escapeRoff(title)}\n`
export const paragraph = (text: string) => `.PP\n${escapeRoff(text)}\n`
/** A term, in bold as it stands, and what it means. */
export const item = (term: string, text: string) => `.TP\n\\fB${escapeRoff(term)}\\fR\n${escapeRoff(text)}\n`
/** Lines as they stand. */
export const example = (lines: readonly string[]) =>
  `.PP\n.RS 4\n.nf\n${lines.map((line) => escapeRoff(line)).join('\n')}\n.fi\n.RE\n`

export function formatHead(name: string, section: number, version: string, book: string): string {
  return `.\\" Written by scripts/write-man-pages.ts.\n.TH ${escapeRoff(name.toUpperCase())} ${section} "" "burrow ${version}" "${book}"\n`
}

export type HelpBlock = { readonly prose: string } | { readonly lines: readonly string[] }

export interface HelpText {
  /** In their order, without the examples. */
  readonly blocks: readonly HelpBlock[]
  /** Command lines. */
  readonly examples: readonly string[]
}

/**
 * The text that follows a command's options in --help: paragraphs flush left; indented by two spaces what is to stay in
 * lines, examples among it.
 */
export function parseHelpText(text: string): HelpText {
  const parts = text
    .split(/\n\s*\n/)
    .flatMap((part) => splitPart(part.split('\n').filter((line) => line.trim() !== '')))
  const isExample = (line: string) => line.startsWith('burrow ')
  return {
    examples: parts.flatMap((part) => ('lines' in part ? part.lines.filter(isExample) : [])),
    blocks: parts.flatMap((part, index): HelpBlock[] => {
      const next = parts[index + 1]
      // A colon that led to an example leads nowhere.
      if ('prose' in part)
        return [
          {
            prose:
              next !== undefined && 'lines' in next && next.lines.every(isExample)
                ? part.prose.replace(/:$/, '.')
                : part.prose,
          },
        ]
      const lines = part.lines.filter((line) => !isExample(line))
      return lines.length === 0 ? [] : [{ lines }]
    }),
  }
}

function splitPart(lines: readonly string[]): HelpBlock[] {
  const prose = lines.filter((line) => !line.startsWith('  ')).join(' ')
  const indented = lines.filter((line) => line.startsWith('  ')).map((line) => line.slice(2))
  return [...(prose === '' ? [] : [{ prose }]), ...(indented.length === 0 ? [] : [{ lines: indented }])]
}

export const formatBlock = (block: HelpBlock) => ('prose' in block ? paragraph(block.prose) : example(block.lines))
