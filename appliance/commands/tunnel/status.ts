/** `burrow tunnel status`: compares the Cloudflare account, this machine and the record of the setup. */
import { Command } from 'commander'

import { tokenHelp } from '../../cloudflare/api-token.ts'
import { countConnections } from '../../cloudflare/api-types.ts'
import { findZone, listZoneNotes } from '../../cloudflare/find-zone.ts'
import { toTunnelName } from '../../cloudflare/marks.ts'
import { listRuleNotes } from '../../cloudflare/rule-step.ts'
import {
  apiUrlOption,
  loadConfigFile,
  openSession,
  type SessionOptions,
  tokenFileOption,
} from '../../cloudflare/session.ts'
import { findSetupRecord } from '../../cloudflare/setup-record.ts'
import { type SetupStep, startProgress } from '../../cloudflare/setup-step.ts'
import { toSetupSteps } from '../../cloudflare/setup-steps.ts'
import { type Survey, survey } from '../../cloudflare/survey.ts'
import { Complaint } from '../../complaint.ts'
import type { Machine } from '../../machine.ts'
import { formatCount, printable } from '../../terminal/format.ts'

interface StatusOptions extends SessionOptions {
  readonly json?: boolean
}

export function tunnelStatusCommand(machine: Machine): Command {
  return new Command('status')
    .description('compare the Cloudflare account with the config and with what was set up')
    .option('--json', 'print JSON')
    .addOption(tokenFileOption())
    .addOption(apiUrlOption())
    .addHelpText(
      'after',
      `
It changes nothing. "burrow status" shows whether the connector runs, "burrow doctor" whether clients can connect.

Exit code 0 if everything is as it was set up, 1 if something differs.

${tokenHelp}

  burrow tunnel status --json`,
    )
    .action((_options, command: Command) => status(machine, command.optsWithGlobals<StatusOptions>()))
}

const plainRemedy = 'run "burrow tunnel setup"'

async function status(machine: Machine, options: StatusOptions): Promise<void> {
  const config = loadConfigFile(machine, options.config)
  const stateDir = config.state.dir
  const made = await findSetupRecord(stateDir)
  if (made === undefined)
    throw new Complaint(
      'refused',
      `Cannot compare: "${stateDir}" has no record of a setup; run "burrow tunnel setup --hostname cache.example.org"`,
    )
  const api = await openSession(machine, options)
  const { hostname } = made
  const zone = await findZone(api, { hostname, zone: made.zone.name, account: made.account.id })
  const found = await survey(api, {
    hostname,
    tunnelName: made.tunnel?.name ?? toTunnelName(hostname),
    zone,
    made,
    config,
  })
  const steps = toSetupSteps(found, {
    api,
    stateDir,
    userId: machine.userId,
    mayReplaceRecord: false,
    progress: startProgress(found, stateDir),
  })
  const notes = [...listZoneNotes(zone, hostname), ...listRuleNotes(found), ...listConnectorNotes(found)]
  machine.stdout.write(
    options.json === true ? `${JSON.stringify(toJson(found, steps, notes))}\n` : toText(found, steps, notes),
  )
  const drifts = steps.filter(({ drift }) => drift !== undefined).length
  if (drifts > 0)
    throw new Complaint(
      'refused',
      `${formatCount(drifts, 'thing')} ${drifts === 1 ? 'differs' : 'differ'} from what was set up`,
    )
}

function toJson(
  { hostname, zone, tunnel, connectors, configuration, service }: Survey,
  steps: readonly SetupStep[],
  notes: readonly string[],
) {
  return {
    isRight: steps.every(({ drift }) => drift === undefined),
    hostname,
    service,
    zone: { id: zone.id, name: zone.name, status: zone.status },
    account: zone.account,
    tunnel:
      tunnel === undefined
        ? null
        : {
            id: tunnel.id,
            name: tunnel.name,
            status: tunnel.status,
            connections: countConnections(connectors),
            configVersion: configuration?.version ?? null,
            connectors: connectors.map(({ configVersion, ...connector }) => ({
              ...connector,
              configVersion: configVersion ?? null,
            })),
          },
    parts: steps.map(({ part, drift, remedy }) => ({
      part,
      isRight: drift === undefined,
      drift: drift ?? null,
      remedy: drift === undefined ? null : (remedy ?? plainRemedy),
    })),
    notes,
  }
}

/** Each change of the ingress rules has a version number, and a connector reports the version that it uses. */
function listConnectorNotes({ connectors, configuration }: Survey): string[] {
  const wanted = configuration?.version
  return connectors
    .filter(({ configVersion }) => wanted !== undefined && configVersion !== undefined && configVersion < wanted)
    .map(
      ({ id, configVersion }) =>
        `The connector ${id} still uses configuration ${configVersion} of the tunnel, and the newest is ${wanted}. Connectors update within seconds: check again, and restart Burrow if this does not change`,
    )
}

function toText(
  { hostname, zone, tunnel, connectors }: Survey,
  steps: readonly SetupStep[],
  notes: readonly string[],
): string {
  const state =
    tunnel === undefined
      ? 'no tunnel'
      : `tunnel ${printable(tunnel.status, 40)}, ${formatCount(countConnections(connectors), 'connection')}`
  const machines = connectors.map(
    ({ id, version, connections, configVersion }) =>
      `  connector ${id}  cloudflared ${version || '(unknown version)'}, ${formatCount(connections, 'connection')}${configVersion === undefined ? '' : `, configuration ${configVersion}`}\n`,
  )
  const lines = steps.map(({ part, drift, remedy, what }) =>
    drift === undefined
      ? `  ok       ${part.padEnd(8)} ${what}\n`
      : `  DIFFERS  ${part.padEnd(8)} ${drift}\n           ${''.padEnd(8)} -> ${remedy ?? plainRemedy}\n`,
  )
  return `https://${hostname} in the zone ${zone.name}, account ${zone.account.name} (${zone.account.id}): ${state}\n${machines.join('')}\n${lines.join('')}${notes.map((note) => `\nNote: ${note}\n`).join('')}`
}
