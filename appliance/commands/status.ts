/**
 * `burrow status`: how the running Burrow does, asked at its operator listener; what is known of it when it does not
 * run.
 */
import { Command } from 'commander'

import { silentLog } from '../../src/index.ts'
import { Complaint } from '../complaint.ts'
import { formatListenAddress } from '../config/listen-address.ts'
import { type ConfigLocations, loadLocations } from '../config/load-config.ts'
import type { Machine } from '../machine.ts'
import { askOperator, type OperatorAnswer } from '../operator/operator-client.ts'
import { formatStatus, formatStopped, type StoppedReport } from '../operator/status-text.ts'
import { findState } from '../state/state.ts'
import { printable } from '../terminal/format.ts'

interface StatusOptions {
  readonly config?: string
  readonly json?: boolean
}

export function statusCommand(machine: Machine): Command {
  return new Command('status')
    .description('show status: tunnel, public URL, stores, larder, users, traffic')
    .option('--json', 'as JSON: what the operator listener reports, and "running"')
    .addHelpText(
      'after',
      `
It asks the address in the setting "operator" of the same config, by default a socket in the state directory.
It needs none of the secrets that the config names.

Exit code 0 when Burrow serves; 1 when it does not run, cannot be asked, or runs and cannot serve. A tunnel that is down does not change it.

  burrow status
  burrow --config /etc/burrow/burrow.json status --json`,
    )
    .action((_options, command: Command) => status(machine, command.optsWithGlobals<StatusOptions>()))
}

async function status(machine: Machine, { config: file, json }: StatusOptions): Promise<void> {
  const config = loadLocations({ machine, file })
  const answer = config.operator === undefined ? undefined : await askOperator(config.operator.address)
  if (answer?.kind !== 'running') {
    const stopped = await toStopped(machine, config, answer)
    if (json === true) machine.stdout.write(`${JSON.stringify(stopped)}\n`)
    throw new Complaint('refused', formatStopped(stopped, Date.now()))
  }
  const { report } = answer
  machine.stdout.write(json === true ? `${JSON.stringify({ running: true, ...report })}\n` : formatStatus(report))
  const { impediment } = report.origin
  if (impediment !== null)
    throw new Complaint('refused', `Burrow runs and cannot serve: ${printable(impediment)}; see "burrow doctor"`)
}

const notAsked = { why: '"operator" is null in the config', remedy: 'remove that setting, and restart Burrow' } as const

async function toStopped(
  machine: Machine,
  config: ConfigLocations,
  answer: Exclude<OperatorAnswer, { kind: 'running' }> | undefined,
): Promise<StoppedReport> {
  const { file, listen, operator, tunnel, state } = config
  const { why, remedy } = answer === undefined ? notAsked : { remedy: 'start it with "burrow serve"', ...answer }
  return {
    // Only silence tells that it does not run: an address in other hands says nothing of it.
    running: answer?.kind === 'silent' ? false : null,
    address: operator === undefined ? null : formatListenAddress(operator.address),
    why,
    remedy,
    config: file ?? null,
    listen: formatListenAddress(listen),
    stateDir: state.dir,
    tunnel:
      tunnel === undefined
        ? null
        : {
            mode: tunnel.mode,
            ...(await findFacts(machine, config)),
            ...(tunnel.hostname && { hostname: tunnel.hostname }),
          },
  }
}

/** A state directory that is not ours to read tells nothing. */
async function findFacts(machine: Machine, { state: { dir } }: ConfigLocations) {
  try {
    const state = await findState({ dir, userId: machine.userId, log: silentLog })
    return await state?.findTunnelFacts()
  } catch (error) {
    if (error instanceof Complaint) return undefined
    throw error
  }
}
