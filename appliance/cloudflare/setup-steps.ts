/** The steps of "burrow tunnel setup": tunnel, ingress rule, DNS record, cache rule, token, config. */
import { Complaint, reasonOf } from '../complaint.ts'
import { replacePrivateFile } from '../state/private-files.ts'
import { prepareStateDir } from '../state/state-dir.ts'
import { formatCount, printable } from '../terminal/format.ts'
import { countConnections } from './api-types.ts'
import { listOtherHostnames, rulesOf, withHostname } from './ingress.ts'
import { toRecordStep } from './record-step.ts'
import { toRuleStep } from './rule-step.ts'
import { requireTunnelId, type SetupStep, type StepOptions } from './setup-step.ts'
import type { Survey } from './survey.ts'

/** In the order of their dependencies: what clients see comes last. */
export function toSetupSteps(found: Survey, options: StepOptions): SetupStep[] {
  return [
    toTunnelStep(found, options),
    toIngressStep(found, options),
    toRuleStep(found, options),
    toRecordStep(found, options),
    toTokenStep(found, options),
    toConfigStep(found),
  ]
}

function toTunnelStep(
  { tunnel, connectors, tunnelName, zone, made }: Survey,
  { api, progress }: StepOptions,
): SetupStep {
  const remember = (id: string, name: string, isMade: boolean) => {
    progress.tunnelId = id
    progress.record.tunnel = { id, name, isMade }
    return progress.save()
  }
  const drift =
    made?.tunnel?.id !== undefined && tunnel?.id !== made.tunnel.id
      ? `the tunnel "${printable(made.tunnel.name, 100)}" (${made.tunnel.id}) was deleted`
      : undefined
  if (tunnel === undefined) {
    return {
      part: 'tunnel',
      verb: 'create',
      what: `"${tunnelName}", managed at Cloudflare`,
      drift: drift ?? 'there is no tunnel',
      async run() {
        // Recorded before it is created: if the run is interrupted, the next one knows that the tunnel is ours.
        progress.record.tunnel = { name: tunnelName, isMade: true }
        await progress.save()
        const { id, name } = await api.createTunnel(zone.account.id, tunnelName)
        await remember(id, name, true)
      },
    }
  }
  const shown = `"${printable(tunnel.name, 100)}" (${tunnel.id})`
  if (!tunnel.isRemotelyManaged) {
    const what = `${shown} is managed by a config file on a machine; choose another tunnel with --name, or use "mode": "credentials"`
    return {
      part: 'tunnel',
      verb: 'refuse',
      what,
      drift: `${shown} is managed by a config file on a machine, so its ingress rules do not come from Cloudflare`,
    }
  }
  if (made?.tunnel?.id === tunnel.id) return { part: 'tunnel', verb: 'keep', what: shown }
  // The record names it without an id: an earlier run was interrupted while it was created.
  const isMade = made?.tunnel?.id === undefined && made?.tunnel?.name === tunnel.name
  const connections = countConnections(connectors)
  const company =
    connections > 0
      ? `; it has ${formatCount(connections, 'connection')}: another machine runs it too, and requests will go to either machine`
      : ''
  return {
    part: 'tunnel',
    verb: 'adopt',
    what: `${shown}${isMade ? ', created by an earlier run' : `, not created by Burrow; teardown will keep it`}${company}`,
    drift: drift ?? `${shown} exists, but is not in the record`,
    run: () => remember(tunnel.id, tunnel.name, isMade),
  }
}

function toIngressStep(
  { configuration, hostname, service, zone, made }: Survey,
  { api, progress }: StepOptions,
): SetupStep {
  const { before, isChanged, rules } = withHostname(rulesOf(configuration?.config ?? {}), hostname, service)
  const others = listOtherHostnames(rules, hostname)
  const beside = others.length === 0 ? '' : ` (kept: ${printable(others.join(', '), 200)})`
  const route = `${hostname} -> ${service}`
  if (!isChanged && made?.ingress?.service === service)
    return { part: 'ingress', verb: 'keep', what: `${route}${beside}` }
  const isMoved = isChanged && before === service
  const from =
    before === undefined
      ? ''
      : isMoved
        ? ', before the rule that matches its requests'
        : `, instead of ${printable(before)}`
  return {
    part: 'ingress',
    verb: !isChanged ? 'adopt' : before === undefined ? 'create' : 'change',
    what: `${route}${from}${beside}`,
    ...(isChanged && { drift: describeIngressDrift(hostname, service, before) }),
    async run() {
      const tunnelId = requireTunnelId(progress)
      // Read again: changes made by others since are kept.
      const { config: current } = await api.readConfiguration(zone.account.id, tunnelId)
      const change = withHostname(rulesOf(current), hostname, service)
      if (change.isChanged)
        await api.writeConfiguration(zone.account.id, tunnelId, { ...current, ingress: change.rules })
      progress.record.ingress = { service }
      await progress.save()
    },
  }
}

function describeIngressDrift(hostname: string, service: string, before: string | undefined): string {
  if (before === undefined) return `the tunnel has no rule for ${hostname}`
  if (before === service) return `another rule of the tunnel matches the requests for ${hostname} first`
  return `the tunnel sends ${hostname} to ${printable(before)}, but Burrow listens on ${service}`
}

function toTokenStep(
  { token, storedToken, tokenFile, zone }: Survey,
  { api, stateDir, userId, progress }: StepOptions,
): SetupStep {
  if (token !== undefined && token === storedToken) return { part: 'token', verb: 'keep', what: tokenFile }
  return {
    part: 'token',
    verb: storedToken === undefined ? 'create' : 'change',
    what: storedToken === undefined ? `${tokenFile} (mode 0600)` : `${tokenFile}, which contains another token`,
    drift:
      storedToken === undefined
        ? `there is no "${tokenFile}"`
        : `"${tokenFile}" does not contain the current token of the tunnel`,
    remedy: 'run "burrow tunnel setup", then reload Burrow (SIGHUP) or restart it',
    async run() {
      const text = token ?? (await api.readTunnelToken(zone.account.id, requireTunnelId(progress)))
      await prepareStateDir(stateDir, userId)
      // Before the file is written, so that an interrupted run leaves no token file unrecorded.
      progress.record.tokenFile = tokenFile
      await progress.save()
      await writeToken(tokenFile, text)
    },
  }
}

async function writeToken(file: string, token: string): Promise<void> {
  try {
    await replacePrivateFile(file, `${token}\n`)
  } catch (error) {
    throw new Complaint(
      'state',
      `Cannot write the tunnel's token to "${file}": ${reasonOf(error)}; run this as the user that runs Burrow`,
      { cause: error },
    )
  }
}

function toConfigStep({ config }: Survey): SetupStep {
  const setting = `"tunnel": ${JSON.stringify(config.after)}`
  if (!config.isNeeded) return { part: 'config', verb: 'keep', what: `${config.file}: ${setting}` }
  const drift = `"${config.file}" does not contain ${setting}`
  if (config.impediment !== undefined) {
    return {
      part: 'config',
      verb: 'by-hand',
      what: `${config.file} cannot be written (${config.impediment}); add ${setting}`,
      drift,
      remedy: 'add it',
    }
  }
  return {
    part: 'config',
    verb: config.before === undefined ? 'create' : 'change',
    what: `${config.file}: ${config.before === undefined ? setting : `"tunnel": ${printable(toShown(config.before))} -> ${JSON.stringify(config.after)}`}`,
    drift,
    run: () => config.apply(),
  }
}

/** Hides a token that is written in the config itself. */
function toShown(tunnel: unknown): string {
  return JSON.stringify(tunnel, (key, value) =>
    key === 'token' && typeof value === 'string' && !value.startsWith('$') ? '…' : value,
  )
}
