/** `burrow depot verify`: every kept file is read and compared with what it must be. */
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
  return new Command('depot').description('look after the depot: what was pushed').addCommand(verifyCommand(machine))
}

function verifyCommand(machine: Machine): Command {
  return new Command('verify')
    .description(
      'read every file of the depot and compare it with its hash; the running Burrow does it, at low priority',
    )
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      `
Paths of a damaged file are out of service from then on: clients go to their next cache. Push them again to mend them.
It takes as long as reading the whole depot twice. Ctrl-C ends the waiting, not the check: what it finds is in Burrow's log.

Exit code 0 when everything is whole; 1 when something is damaged, or Burrow is not running.

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
      `${formatCount(files, 'file')} read, ${formatBytes(bytes)}; ${damaged.length === 0 ? 'all whole' : `${formatCount(damaged.length)} damaged`}.\n`,
    )
  }
  if (damaged.length > 0) throw new Complaint('refused', 'The depot has damaged files: push their paths again')
}
