/**
 * `burrow status`: the status of the running Burrow, from its operator listener; if it is not running, what is known
 * from its state directory.
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
    .option('--json', 'print JSON: the report of the operator listener, and "running"')
    .addHelpText(
      'after',
      `
Connects to the address in the setting "operator" of the same config, by default a socket in the state directory.
Does not need the secrets that the config refers to.

Exit code 0 if Burrow serves; 1 if it is not running, cannot be reached, or cannot serve. The state of the tunnel does not change the exit code.

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
    throw new Complaint('refused', `Burrow is running but cannot serve: ${printable(impediment)}; see "burrow doctor"`)
}

const notAsked = { why: '"operator" is null in the config', remedy: 'remove this setting and restart Burrow' } as const

async function toStopped(
  machine: Machine,
  config: ConfigLocations,
  answer: Exclude<OperatorAnswer, { kind: 'running' }> | undefined,
): Promise<StoppedReport> {
  const { file, listen, operator, tunnel, state } = config
  const { why, remedy } = answer === undefined ? notAsked : { remedy: 'start it with "burrow serve"', ...answer }
  return {
    // Not running only if nothing listens: if another program has the address, it is unknown.
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

/** `undefined` if this user may not read the state directory. */
async function findFacts(machine: Machine, { state: { dir } }: ConfigLocations) {
  try {
    const state = await findState({ dir, userId: machine.userId, log: silentLog })
    return await state?.findTunnelFacts()
  } catch (error) {
    if (error instanceof Complaint) return undefined
    throw error
  }
}
