/** `burrow depot verify`: reads every file of the depot and compares it with its hash. */
import { Command } from 'commander'

import { Complaint } from '../../complaint.ts'
import type { Machine } from '../../machine.ts'
import { askDepot } from '../../operator/depot-client.ts'
import { formatBytes, formatCount, printable } from '../../terminal/format.ts'

interface VerifyFlags {
  readonly config?: string
  readonly json?: boolean
}

interface VerifyReply {
  readonly files: number
  readonly bytes: number
  readonly damaged: readonly {
    readonly narHash: string
    readonly reason: string
    readonly storePaths: readonly string[]
  }[]
}

export function depotCommand(machine: Machine): Command {
  return new Command('depot')
    .description('check the depot, which holds pushed paths')
    .addCommand(verifyCommand(machine))
}

function verifyCommand(machine: Machine): Command {
  return new Command('verify')
    .description('read every file of the depot and compare it with its hash, in the running Burrow, at low priority')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Paths with a damaged file are no longer served; clients use their next cache. To repair them, push them again.
It takes as long as reading the whole depot twice. Ctrl-C stops the command, but not the check; the result is in Burrow's log.

Exit code 0 if no file is damaged; 1 if a file is damaged, or Burrow is not running.

  burrow depot verify`,
    )
    .action((_options, command: Command) => verify(machine, command.optsWithGlobals<VerifyFlags>()))
}

async function verify(machine: Machine, { config, json }: VerifyFlags): Promise<void> {
  const reply = await askDepot<VerifyReply>(machine, config, { method: 'POST', path: 'verify', body: {} })
  const { files, bytes, damaged } = reply
  if (json === true) machine.stdout.write(`${JSON.stringify(reply)}\n`)
  else {
    for (const { narHash, reason, storePaths } of damaged) {
      machine.stdout.write(
        `damaged  ${printable(narHash)}: ${printable(reason)}\n${storePaths.map((path) => `         ${printable(path)}\n`).join('')}`,
      )
    }
    machine.stdout.write(
      `${formatCount(files, 'file')} read, ${formatBytes(bytes)}; ${damaged.length === 0 ? 'none' : formatCount(damaged.length)} damaged.\n`,
    )
  }
  if (damaged.length > 0) throw new Complaint('refused', 'The depot has damaged files; push their paths again')
}
