/** Completion for fish 3: a function finds the command that is typed, and each candidate is limited to one. */
import { type ArgumentNode, type CommandNode, listNodes, type OptionNode, type ValueNode } from './command-tree.ts'

export function formatFishCompletion(root: CommandNode): string {
  const nodes = listNodes(root)
  const at = `__${root.name}_at`
  const taking = nodes.flatMap(({ path, options }) =>
    options.flatMap(({ flags, value }) => (value === undefined ? [] : flags.map((flag) => quote(`${path}:${flag}`)))),
  )
  return `# Completion of "${root.name}" for fish, made by "${root.name} completion fish".

# Whether the command typed so far is this one: with any arguments, with so many (${at} COMMAND 1), or with at least so many
# (${at} COMMAND 1 more).
function ${at}
    set -l words (commandline -opc)
    set -l path ${quote(root.path)}
    set -l count 0
    set -l skip 0
    set -l only_arguments 0
    for word in $words[2..-1]
        if test $skip = 1
            set skip 0
        else if test $only_arguments = 1
            set count (math $count + 1)
        else if test "$word" = --
            set only_arguments 1
        else if string match -q -- '-*' "$word"
            switch "$path:$word"
                case ${taking.join(' ')}
                    set skip 1
            end
        else
            switch "$path $word"
                case ${nodes
                  .slice(1)
                  .map(({ path }) => quote(path))
                  .join(' ')}
                    set path "$path $word"
                    set count 0
                case '*'
                    set count (math $count + 1)
            end
        end
    end
    test "$path" = "$argv[1]"; or return 1
    switch (count $argv)
        case 2
            test $count -eq $argv[2]
        case 3
            test $count -ge $argv[2]
    end
end

complete -c ${root.name} -f
${nodes.flatMap((node) => formatNode(root, at, node)).join('\n')}
`
}

function formatNode(root: CommandNode, at: string, node: CommandNode): string[] {
  const complete = (condition: string) => `complete -c ${root.name} -n ${quote(condition)}`
  const here = `${at} ${quote(node.path)}`
  return [
    ...node.options.map((option) => `${complete(here)} ${formatOption(option)}`),
    ...node.commands.map(
      ({ name, description }) => `${complete(`${here} 0`)} -f -a ${quote(name)} -d ${quote(description)}`,
    ),
    ...node.arguments.flatMap((argument, index) =>
      argument.value.kind === 'text'
        ? []
        : [`${complete(`${here} ${index}${argument.isVariadic ? ' more' : ''}`)} ${formatArgument(argument)}`],
    ),
  ]
}

function formatOption({ flags, description, value }: OptionNode): string {
  const names = flags.map((flag) =>
    flag.startsWith('--') ? `-l ${quote(flag.slice(2))}` : `-s ${quote(flag.slice(1))}`,
  )
  return [...names, ...(value === undefined ? [] : [formatValue(value)]), `-d ${quote(description)}`].join(' ')
}

function formatArgument({ value }: ArgumentNode): string {
  return value.kind === 'file' ? '-F' : formatValue(value).replace(/^-x /, '-f ')
}

function formatValue({ kind, words }: ValueNode): string {
  if (kind === 'file') return '-r -F'
  if (kind === 'directory') return `-x -a '(__fish_complete_directories)'`
  if (kind === 'text') return '-x'
  return `-x -a ${quote(words.map(quote).join(' '))}`
}

/** In single quotes fish knows two escapes. */
function quote(text: string): string {
  return `'${text.replaceAll(/[\\']/g, '\\$&')}'`
}
