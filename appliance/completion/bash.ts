/**
 * Completion for bash 4 or newer, without the package bash-completion. bash splits words at `=` and `:`, so `--to=x`
 * arrives as three words, and a URL too. Names of files are left to readline, which quotes them.
 */
import { quoteForShell } from '../terminal/shell-quote.ts'
import { type CommandNode, listNodes, type OptionNode, type ValueNode } from './command-tree.ts'

export function formatBashCompletion(root: CommandNode): string {
  const nodes = listNodes(root)
  const f = `_${root.name}`
  return `# Completion of "${root.name}" for bash, made by "${root.name} completion bash".

# Adds those words that begin with what was typed.
${f}_words() {
  local word
  for word in "$@"; do
    [[ $word == "$current"* ]] && COMPREPLY+=("$word")
  done
}

# What follows a flag: the reply of 0 means that it takes a value.
${f}_value() {
  case $command:$1 in
${nodes.flatMap((node) => node.options.flatMap((option) => valueCase(f, node, option))).join('\n')}
    *) return 1 ;;
  esac
}

${f}_complete_value() {
  case $command:$1 in
${nodes.flatMap((node) => node.options.flatMap((option) => completionCase(f, node, option))).join('\n')}
  esac
}

${f}() {
  local current=\${COMP_WORDS[COMP_CWORD]} command=${quoteForShell(root.path)} flag= word= only_arguments= glued= count=0 i
  COMPREPLY=()
  [[ $current == [=:]* ]] && glued=1 current=
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ $word == [=:]* ]]; then
      if ((i + 1 == COMP_CWORD)); then glued=1; else flag= i=$((i + 1)); fi
    elif [[ -n $flag ]]; then
      flag=
    elif [[ -n $only_arguments ]]; then
      count=$((count + 1))
    elif [[ $word == -- ]]; then
      only_arguments=1
    elif [[ $word == -* ]]; then
      ${f}_value "$word" && flag=$word
    else
      case "$command $word" in
        ${nodes
          .slice(1)
          .map(({ path }) => quoteForShell(path))
          .join(' | ')}) command="$command $word" count=0 ;;
        *) count=$((count + 1)) ;;
      esac
    fi
  done

  if [[ -n $flag ]]; then
    ${f}_complete_value "$flag"
    return
  fi
  [[ -n $glued ]] && return
  if [[ $current == -* && -z $only_arguments ]]; then
    case $command in
${nodes.map(({ path, options }) => `      ${quoteForShell(path)}) ${f}_words ${words(options.flatMap(({ flags }) => flags))} ;;`).join('\n')}
    esac
    return
  fi
  case $command:$count in
${nodes.flatMap((node) => argumentCases(f, node)).join('\n')}
  esac
}

complete -F ${f} ${root.name}
`
}

function valueCase(_f: string, { path }: CommandNode, { flags, value }: OptionNode): string[] {
  return value === undefined ? [] : [`    ${pattern(path, flags)}) ;;`]
}

function completionCase(f: string, { path }: CommandNode, { flags, value }: OptionNode): string[] {
  return value === undefined || value.kind === 'text' ? [] : [`    ${pattern(path, flags)}) ${action(f, value)} ;;`]
}

function argumentCases(f: string, { path, commands, arguments: args }: CommandNode): string[] {
  if (commands.length > 0)
    return [`    ${quoteForShell(`${path}:0`)}) ${f}_words ${words(commands.map(({ name }) => name))} ;;`]
  return args.flatMap(({ value, isVariadic }, index) =>
    value.kind === 'text'
      ? []
      : [
          `    ${isVariadic ? `${quoteForShell(`${path}:`)}*` : quoteForShell(`${path}:${index}`)}) ${action(f, value)} ;;`,
        ],
  )
}

function pattern(path: string, flags: readonly string[]): string {
  return flags.map((flag) => quoteForShell(`${path}:${flag}`)).join(' | ')
}

function action(f: string, { kind, words: choices }: ValueNode): string {
  if (kind === 'file') return 'compopt -o bashdefault -o default'
  if (kind === 'directory') return 'compopt -o dirnames'
  return `${f}_words ${words(choices)}`
}

function words(list: readonly string[]): string {
  return list.map(quoteForShell).join(' ')
}
