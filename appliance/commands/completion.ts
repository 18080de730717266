/** `burrow completion`: a script that completes commands, options and files in a shell. */
import { Argument, Command } from 'commander'

import { formatBashCompletion } from '../completion/bash.ts'
import { type CommandNode, readCommandTree } from '../completion/command-tree.ts'
import { formatFishCompletion } from '../completion/fish.ts'
import { formatZshCompletion } from '../completion/zsh.ts'
import type { Machine } from '../machine.ts'

const formats: Readonly<Record<string, (root: CommandNode) => string>> = {
  bash: formatBashCompletion,
  zsh: formatZshCompletion,
  fish: formatFishCompletion,
}

export function completionCommand(machine: Machine): Command {
  return new Command('completion')
    .description('print a script that completes commands, options and files in your shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(formats)))
    .addHelpText(
      'after',
      `
Run one of these, then start a new shell. Run it again after an upgrade.

  burrow completion bash > ~/.local/share/bash-completion/completions/burrow
  burrow completion zsh > "\${fpath[1]}/_burrow"
  burrow completion fish > ~/.config/fish/completions/burrow.fish`,
    )
    .action((shell: string, _options, command: Command) => {
      // As bytes: in text for people "burrow" becomes the command of this program (own-command.ts), but a shell completes
      // the name that is typed.
      machine.stdout.write(Buffer.from(formats[shell]!(readCommandTree(rootOf(command)))))
    })
}

function rootOf(command: Command): Command {
  return command.parent === null ? command : rootOf(command.parent)
}
