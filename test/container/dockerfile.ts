/** A Dockerfile, as far as ours goes: instructions with their stage; no here-documents, no parser directives. */
export interface Instruction {
  readonly name: string
  readonly text: string
  /** From 0. */
  readonly stage: number
}

export interface Copy {
  readonly from: string | undefined
  readonly sources: readonly string[]
  readonly target: string
}

export function parseDockerfile(text: string): readonly Instruction[] {
  let stage = -1
  return text
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name, rest] = /^([A-Z]+) (.+)$/.exec(line) ?? []
      if (name === undefined || rest === undefined || rest.endsWith('\\'))
        throw new Error(`Not an instruction: ${line}`)
      if (name === 'FROM') stage++
      return { name, text: rest, stage }
    })
}

export function parseCopy({ text }: Instruction): Copy {
  const words = text.split(/\s+/)
  const from = words[0]!.startsWith('--from=') ? words.shift()!.slice('--from='.length) : undefined
  return { from, sources: words.slice(0, -1), target: words.at(-1)! }
}

/** `ENV A=b C=d` */
export function parseEnvironment(instructions: readonly Instruction[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    instructions
      .filter(({ name }) => name === 'ENV')
      .flatMap(({ text }) => text.split(' '))
      .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  )
}
