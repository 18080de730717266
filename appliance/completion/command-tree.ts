/**
 * The command line as a shell completes it, read from commander's own description: what --help shows, no more. What a
 * value is follows from its name there: `<file>` and `<path>` are files, `<dir>` is a directory, choices are words.
 *
 *   { path: 'burrow tunnel', commands: [{ path: 'burrow tunnel setup', … }], options: […], arguments: [] }
 */
import type { Command, Option } from 'commander'

export interface CommandNode {
  /** With its parents: `burrow tunnel setup`. */
  readonly path: string
  readonly name: string
  readonly description: string
  readonly options: readonly OptionNode[]
  readonly arguments: readonly ArgumentNode[]
  readonly commands: readonly CommandNode[]
}

export interface OptionNode {
  /** `-c` and `--config`, or one of them. */
  readonly flags: readonly string[]
  readonly description: string
  /** `undefined` for an option without a value. One that may stand without its value counts as one without. */
  readonly value: ValueNode | undefined
}

export interface ArgumentNode {
  readonly value: ValueNode
  readonly isVariadic: boolean
}

export interface ValueNode {
  /** As in --help, without its brackets. */
  readonly name: string
  readonly kind: 'file' | 'directory' | 'words' | 'text'
  /** Of the kind `words`. */
  readonly words: readonly string[]
}

export function readCommandTree(root: Command): CommandNode {
  const shared = root.options.filter(({ hidden }) => !hidden).map(({ long }) => long)
  return readCommand(root, root.name(), shared)
}

/** An option of the program that every command takes too is hidden there only to keep --help short. */
function readCommand(command: Command, path: string, shared: readonly (string | undefined)[]): CommandNode {
  const help = command.createHelp()
  const visible = new Set(help.visibleOptions(command))
  const hidden = command.options.filter((option) => !visible.has(option) && shared.includes(option.long))
  const children = help.visibleCommands(command)
  const names = children.map((child) => child.name())
  return {
    path,
    name: command.name(),
    description: oneLine(command.description()),
    options: [...visible, ...hidden].map(readOption),
    arguments: command.registeredArguments.map((argument) => ({
      value: toValue(argument.name(), argument.argChoices),
      isVariadic: argument.variadic,
    })),
    commands: children.map((child) =>
      // Commander's own help command, which has no parent, takes the name of another.
      child.parent === null
        ? { ...readCommand(child, `${path} ${child.name()}`, shared), arguments: [oneOf('command', names)] }
        : readCommand(child, `${path} ${child.name()}`, shared),
    ),
  }
}

function oneOf(name: string, words: readonly string[]): ArgumentNode {
  return { value: toValue(name, words), isVariadic: false }
}

function readOption({ short, long, flags, description, required, argChoices }: Option): OptionNode {
  const [, name = ''] = /<([^>]+)>/.exec(flags) ?? []
  return {
    flags: [short, long].filter((flag) => flag !== undefined),
    description: oneLine(description),
    value: required ? toValue(name, argChoices) : undefined,
  }
}

function toValue(label: string, choices: readonly string[] | undefined): ValueNode {
  const name = label.replace(/\.\.\.$/, '')
  if (choices !== undefined) return { name, kind: 'words', words: choices }
  if (/(?:file|path)$/.test(name)) return { name, kind: 'file', words: [] }
  if (/(?:dir|directory)$/.test(name)) return { name, kind: 'directory', words: [] }
  return { name, kind: 'text', words: [] }
}

/** A command, then all below it. */
export function listNodes(node: CommandNode): readonly CommandNode[] {
  return [node, ...node.commands.flatMap(listNodes)]
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}
