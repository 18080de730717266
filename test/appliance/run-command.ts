/**
 * One command of the command line in this process, on a machine made of streams: what it printed and the exit code it
 * would end with.
 */
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { Command } from 'commander'

import { Complaint, exitCodeOf } from '../../appliance/complaint.ts'
import type { Machine } from '../../appliance/machine.ts'
import type { ScratchDir } from './scratch-dir.ts'

export interface CommandOutcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export async function runCommand(
  createCommand: (machine: Machine) => Command,
  args: readonly string[],
  { dir, env = {} }: { readonly dir: ScratchDir; readonly env?: Readonly<Record<string, string>> },
): Promise<CommandOutcome> {
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  const machine: Machine = {
    args,
    env: { PATH: process.env.PATH, HOME: dir.path, ...env },
    workingDir: dir.path,
    homeDir: dir.path,
    hostName: 'test-host',
    zstdVersion: process.versions.zstd!,
    pid: process.pid,
    userId: process.geteuid?.(),
    stdin: new PassThrough(),
    stdout,
    stderr,
    onSignal: () => () => {},
    endProcess: () => false,
    exit: () => {
      throw new Error('exit')
    },
  }
  const program = new Command('burrow').option('-c, --config <file>').exitOverride()
  program.addCommand(createCommand(machine).copyInheritedSettings(program))
  let code = 0
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (!(error instanceof Complaint)) throw error
    stderr.write(`${error.message}\n`)
    code = exitCodeOf(error)
  }
  stdout.end()
  stderr.end()
  return { code, stdout: await text(stdout), stderr: await text(stderr) }
}
