/** `burrow pin`, `burrow unpin`: named references that keep paths in a cache. */
import { Command, InvalidArgumentError, Option } from 'commander'

import { isPinName } from '../../src/index.ts'
import type { Machine } from '../machine.ts'
import { findNamedPaths } from '../near-end/named-path.ts'
import { askFarEnd } from '../near-end/open-push.ts'
import { formatCount } from '../terminal/format.ts'
import { type FarEndFlags, farEndHelp, farEndOptions } from './far-end-options.ts'
import { future, integer } from './option-values.ts'

interface PinFlags extends FarEndFlags {
  readonly keepLast: number
  readonly expires?: number
}

export function pinCommand(machine: Machine): Command {
  const command = new Command('pin')
    .description('keep paths and their closure in a cache, under a name')
    .argument('<name>', 'name of the pin, like "ci/app"; it must begin with your user name and a slash', pinName)
    .argument('<path...>', 'store paths in the cache, or links to them')
    .addOption(
      new Option('--keep-last <n>', 'number of revisions of the pin to keep').argParser(integer(1, 1000)).default(1),
    )
    .addOption(
      new Option('--expires <time>', 'when the pin expires: "2099-12-31", or "90d" from now').argParser(future),
    )
  return farEndOptions(command)
    .addHelpText(
      'after',
      `
The paths become the newest revision of the pin. Revisions beyond --keep-last are removed in the same transaction.
${farEndHelp}

  burrow pin ci/app ./result --keep-last 3
  burrow pin releases/v1.0 /nix/store/…-app-1.0 --expires 365d`,
    )
    .action((name: string, paths: string[], _options, self: Command) =>
      pin(machine, name, paths, self.optsWithGlobals<PinFlags>()),
    )
}

export function unpinCommand(machine: Machine): Command {
  const command = new Command('unpin')
    .description('remove a pin from a cache, with all its revisions')
    .argument('<name>', 'name of the pin, as shown by "burrow pins"', pinName)
  return farEndOptions(command)
    .addHelpText(
      'after',
      `
A later garbage collection removes the paths, unless something else keeps them. Exit code 4 if there is no such pin.
${farEndHelp}

  burrow unpin ci/app`,
    )
    .action((name: string, _options, self: Command) => unpin(machine, name, self.optsWithGlobals<FarEndFlags>()))
}

async function pin(machine: Machine, name: string, args: readonly string[], flags: PinFlags): Promise<void> {
  const storePaths = await findNamedPaths(machine, args)
  const { keepLast, expires } = flags
  const body = { storePaths, keepLast, ...(expires !== undefined && { expires: new Date(expires).toISOString() }) }
  const url = await askFarEnd(machine, flags, async (farEnd) => {
    await farEnd.ask('PUT', `v1/pins/${name}`, body)
    return farEnd.url
  })
  machine.stdout.write(`Pinned ${formatCount(storePaths.length, 'path')} as ${name} at ${url}.\n`)
}

async function unpin(machine: Machine, name: string, flags: FarEndFlags): Promise<void> {
  const url = await askFarEnd(machine, flags, async (farEnd) => {
    await farEnd.ask('DELETE', `v1/pins/${name}`)
    return farEnd.url
  })
  machine.stdout.write(`Removed the pin ${name} at ${url}.\n`)
}

/** Its characters need no escaping in a URL. */
function pinName(text: string): string {
  if (isPinName(text)) return text
  throw new InvalidArgumentError('Use letters, digits, ".", "_", "+" and "-", in up to four parts: "app" or "ci/app".')
}
