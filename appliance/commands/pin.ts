/** `burrow pin`, `burrow unpin`: names that keep paths at a cache. */
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
    .description('keep paths at a cache, with all that they refer to, under a name')
    .argument('<name>', 'like "ci/app": yours begin with your user name and a slash', pinName)
    .argument('<path...>', 'store paths that are at the cache, or links to them')
    .addOption(
      new Option('--keep-last <n>', 'revisions of this name that are kept').argParser(integer(1, 1000)).default(1),
    )
    .addOption(new Option('--expires <time>', 'end of the pin: "2099-12-31", or "90d" from now').argParser(future))
  return farEndOptions(command)
    .addHelpText(
      'after',
      `
The paths become the newest revision of the pin; revisions beyond --keep-last are given up in the same moment.
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
    .description('end a pin at a cache, with all its revisions')
    .argument('<name>', 'as "burrow pins" tells it', pinName)
  return farEndOptions(command)
    .addHelpText(
      'after',
      `
The paths go with a later collection, unless something else keeps them. A pin that is not there is a refusal (4).
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
  machine.stdout.write(`${name} is no pin at ${url} any more.\n`)
}

/** Its characters need no escaping in a URL. */
function pinName(text: string): string {
  if (isPinName(text)) return text
  throw new InvalidArgumentError('Use letters, digits, ".", "_", "+" and "-", in up to four parts: "app" or "ci/app".')
}
