/**
 * `burrow usage`: what was sent, to whom, and what was asked for and is not here; from the running Burrow, or from its
 * file if it is not running.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'

import type { UsageSummary } from '../../src/index.ts'
import { openUsageFileForReading, usageFileName } from '../analytics/usage-file.ts'
import { summarize } from '../analytics/usage-queries.ts'
import { Complaint } from '../complaint.ts'
import { type ConfigLocations, loadLocations } from '../config/load-config.ts'
import type { Machine } from '../machine.ts'
import { askUsage } from '../operator/usage-client.ts'
import { formatUsage } from '../operator/usage-text.ts'
import { integer } from './option-values.ts'

interface UsageOptions {
  readonly config?: string
  readonly user?: string
  readonly days: number
  readonly json?: boolean
}

const maxDays = 400

export function usageCommand(machine: Machine): Command {
  return new Command('usage')
    .description('show what was downloaded, by whom, and what was asked for and is not here')
    .option('--user <name>', 'only the figures of this user')
    .option('--days <number>', 'so many days (UTC), the current one included', integer(1, maxDays), 30)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Asks the running Burrow, or reads "usage.sqlite" in the state directory if it is not running. The setting "analytics" says how long figures are kept.

Exit code 0 if there are figures, also if they are all zero; 1 if they cannot be read.

  burrow usage
  burrow usage --user ben --days 7
  burrow usage --json`,
    )
    .action((_options, command: Command) => usage(machine, command.optsWithGlobals<UsageOptions>()))
}

async function usage(machine: Machine, { config: file, user, days, json }: UsageOptions): Promise<void> {
  const config = loadLocations({ machine, file })
  const period = { days, user }
  const summary = (config.operator && (await askUsage(config.operator.address, period))) ?? readFile(config, period)
  machine.stdout.write(json === true ? `${JSON.stringify(summary)}\n` : formatUsage(summary, user))
}

function readFile({ state, store }: ConfigLocations, period: { days: number; user: string | undefined }): UsageSummary {
  const file = join(state.dir, usageFileName)
  if (!existsSync(file)) {
    throw new Complaint(
      'refused',
      `There are no usage figures: Burrow is not running here, and "${file}" does not exist or may not be read. Name the config of the service with --config, or run this as its user`,
    )
  }
  try {
    using database = openUsageFileForReading(file)
    return summarize(database, store.dir, period, Date.now())
  } catch (error) {
    // SQLite's codes say less than its messages.
    const reason = (error as Error).message
    throw new Complaint(
      'refused',
      `Cannot read usage figures from "${file}": ${reason}; name the config of the service with --config, or run this as its user`,
      { cause: error },
    )
  }
}
