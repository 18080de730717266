/** Completion for zsh 5, by its own `_arguments`: descriptions, exclusion of given flags, `--flag=value`. */
import { quoteForShell } from '../terminal/shell-quote.ts'
import { type ArgumentNode, type CommandNode, listNodes, type OptionNode, type ValueNode } from './command-tree.ts'

export function formatZshCompletion(root: CommandNode): string {
  const own = `_${root.name}`
  return `#compdef ${root.name}
# Completion of "${root.name}" for zsh, made by "${root.name} completion zsh".

${listNodes(root).map(formatFunction).join('\n')}
# As a file in $fpath this is the function itself; sourced, it must be registered.
if [[ \${funcstack[1]} == ${own} ]]; then
  ${own} "$@"
else
  compdef ${own} ${root.name}
fi
`
}

function formatFunction(node: CommandNode): string {
  const specs = node.options.flatMap(formatOption)
  return node.commands.length === 0
    ? `${functionOf(node)}() {
  ${argumentsCall('_arguments -S', [...specs, ...node.arguments.map(formatArgument)])}
}
`
    : `${functionOf(node)}() {
  local curcontext="$curcontext" state line
  typeset -A opt_args
  ${argumentsCall('_arguments -C -S', [...specs, `'1: :->command'`, `'*:: :->arguments'`])}
  case $state in
    command)
      local -a commands=(
${node.commands.map(({ name, description }) => `        ${quoteForShell(`${escapeColons(name)}:${description}`)}`).join('\n')}
      )
      _describe -t commands command commands
      ;;
    arguments)
      case $words[1] in
${node.commands.map((child) => `        ${quoteForShell(child.name)}) ${functionOf(child)} ;;`).join('\n')}
      esac
      ;;
  esac
}
`
}

function argumentsCall(call: string, specs: readonly string[]): string {
  return [call, ...specs].join(' \\\n    ')
}

function functionOf({ path }: CommandNode): string {
  return `_${path.replaceAll(/[^A-Za-z0-9]/g, '_')}`
}

/** `(-c --config)-c+[the config file]:file:_files`: the flags of one option exclude each other. */
function formatOption({ flags, description, value }: OptionNode): string[] {
  const text = `[${description.replaceAll(/[\\\][:]/g, '\\$&')}]`
  const exclusion = `(${flags.join(' ')})`
  return flags.map((flag) => {
    const takes = value === undefined ? '' : flag.startsWith('--') ? '=' : '+'
    return quoteForShell(`${exclusion}${flag}${takes}${text}${value === undefined ? '' : `:${formatValue(value)}`}`)
  })
}

function formatArgument({ value, isVariadic }: ArgumentNode, index: number): string {
  return quoteForShell(`${isVariadic ? '*' : index + 1}:${formatValue(value)}`)
}

function formatValue({ name, kind, words }: ValueNode): string {
  const message = escapeColons(name)
  if (kind === 'file') return `${message}:_files`
  if (kind === 'directory') return `${message}:_files -/`
  if (kind === 'text') return `${message}: `
  return `${message}:(${words.map((word) => word.replaceAll(/[^\w.,/-]/g, '\\$&')).join(' ')})`
}

function escapeColons(text: string): string {
  return text.replaceAll(/[\\:]/g, '\\$&')
}
