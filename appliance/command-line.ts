/** A command line of Burrow's: which command was meant, and the exit code it ends with. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'

import { Complaint, exitCodeOf, exitCodes } from './complaint.ts'
import type { Machine } from './machine.ts'
import { readVersion } from './version.ts'

export interface CommandLine {
  readonly description: string
  readonly commands: readonly ((machine: Machine) => Command)[]
  /** Behind the help. */
  readonly notes: string
  readonly hasConfig: boolean
}

export function createProgramOf(machine: Machine, { description, commands, notes, hasConfig }: CommandLine): Command {
  const program = new Command('burrow').description(description)
  if (hasConfig) program.option('-c, --config <file>', 'the config file')
  program
    .version(`burrow ${readVersion()}`, '-V, --version')
    .addHelpText('after', notes)
    .showHelpAfterError(helpHint('burrow'))
    .configureOutput({
      writeOut: (text) => void machine.stdout.write(text),
      writeErr: (text) => void machine.stderr.write(text),
    })
    .exitOverride()
    // What stands behind a command is the command's: "tunnel install --version" is not "burrow --version".
    .enablePositionalOptions()
  for (const createCommand of commands) program.addCommand(adopt(program, createCommand(machine), { hasConfig }))
  return program
}

const helpHint = (command: string) => `(run "${command} --help")`

/** `--config` may stand before and behind any command, and an error names the help of its command. */
function adopt(
  parent: Command,
  command: Command,
  { hasConfig, above = 'burrow' }: { hasConfig: boolean; above?: string },
): Command {
  const words = `${above} ${command.name()}`
  command.copyInheritedSettings(parent).showHelpAfterError(helpHint(words))
  if (hasConfig) command.addOption(new Option('-c, --config <file>', 'the config file').hideHelp())
  for (const child of command.commands) adopt(command, child, { hasConfig, above: words })
  return command
}

/** Resolves to the exit code. Errors that the user can fix are printed; a bug is thrown. */
export async function runProgram(machine: Machine, line: CommandLine): Promise<number> {
  try {
    await createProgramOf(machine, line).parseAsync(machine.args, { from: 'user' })
    return exitCodes.ok
  } catch (error) {
    // Of a parser that a command called by itself.
    if (error instanceof InvalidArgumentError) machine.stderr.write(`error: ${error.message}\n`)
    // Otherwise commander has said what there is to say.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    if (!(error instanceof Complaint)) throw error
    const message = machine.stderr.isJournal === true ? error.message.replaceAll(/^(?=.)/gm, '<3>') : error.message
    machine.stderr.write(`${message}\n`)
    return exitCodeOf(error)
  }
}
