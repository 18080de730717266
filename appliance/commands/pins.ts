/** `burrow pins`: lists the pins of the Burrow on this machine or of a remote cache. */
import { existsSync } from 'node:fs'
import { Command } from 'commander'

import { Complaint } from '../complaint.ts'
import { loadLocations } from '../config/load-config.ts'
import type { Machine } from '../machine.ts'
import { clientFileOf } from '../near-end/credentials.ts'
import { askFarEnd } from '../near-end/open-push.ts'
import { formatPins, type ToldPin } from '../near-end/pins.ts'
import { askDepotAt } from '../operator/depot-client.ts'
import { type FarEndFlags, farEndOptions } from './far-end-options.ts'

interface PinsFlags extends FarEndFlags {
  readonly json?: boolean
}

interface PinsReply {
  readonly pins: readonly ToldPin[]
}

const timeoutMs = 60_000

export function pinsCommand(machine: Machine): Command {
  return farEndOptions(new Command('pins').description('list the pins of a depot'))
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
The depot is the first of these: the cache given by --to; the one in $BURROW_URL; the Burrow that runs on this machine, if there is a config (--config, $BURROW_CONFIG
or ./burrow.json) or a socket at the default location; the cache set by "burrow use".

Exit codes: 0 done, even if there are no pins · 1 Burrow is not running on this machine · 2 usage · 75 the cache cannot be reached, try again · 77 wrong login

  burrow pins
  burrow pins --to https://cache.example.org --json`,
    )
    .action((_options, command: Command) => pins(machine, command.optsWithGlobals<PinsFlags>()))
}

async function pins(machine: Machine, flags: PinsFlags): Promise<void> {
  const operator = findOperator(machine, flags)
  const reply =
    operator === undefined
      ? await askFarEnd(machine, flags, (farEnd) => farEnd.ask<PinsReply>('GET', 'v1/pins'))
      : await askDepotAt<PinsReply>(operator, { method: 'GET', path: 'pins', timeoutMs })
  machine.stdout.write(flags.json === true ? `${JSON.stringify(reply)}\n` : formatPins(reply.pins, Date.now()))
}

/** `undefined` for a remote cache. */
function findOperator(machine: Machine, { config: file, to, netrcFile }: PinsFlags) {
  if (to !== undefined || netrcFile !== undefined || machine.env.BURROW_URL) return undefined
  const { file: found, operator } = loadLocations({ machine, file })
  const address = operator?.address
  const runsHere = address?.kind === 'unix' && existsSync(address.path)
  if (found === undefined && !runsHere && existsSync(clientFileOf(machine))) return undefined
  if (address === undefined)
    throw new Complaint(
      'refused',
      'Cannot ask the Burrow on this machine: "operator" is null in its config. Give the URL of the cache with --to',
    )
  return address
}
