/** `burrow pins`: what is pinned, in the Burrow that runs here or at a cache. */
import { Command } from 'commander'

import type { Machine } from '../machine.ts'
import { formatPins, type ToldPin } from '../near-end/pins.ts'
import { askDepot } from '../operator/depot-client.ts'

interface PinsFlags {
  readonly config?: string
  readonly json?: boolean
}

const timeoutMs = 60_000

export function pinsCommand(machine: Machine): Command {
  return new Command('pins')
    .description('list the pins of the depot')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      `
Exit code 0 also when there are none; 1 when Burrow does not run.

  burrow pins`,
    )
    .action((_options, command: Command) => pins(machine, command.optsWithGlobals<PinsFlags>()))
}

async function pins(machine: Machine, { config, json }: PinsFlags): Promise<void> {
  const reply = await askDepot<{ readonly pins: readonly ToldPin[] }>(machine, config, { method: 'GET', path: 'pins', timeoutMs })
  machine.stdout.write(json === true ? `${JSON.stringify(reply)}\n` : formatPins(reply.pins, Date.now()))
}
