/**
 * The steps of "burrow tunnel teardown": removes only what "burrow tunnel setup" created. Each part is found by its id,
 * and kept if it was changed since.
 */
import { formatCount, printable } from '../terminal/format.ts'
import type { CloudflareApi } from './api.ts'
import { countConnections, type DnsRecord, type RemoteTunnel } from './api-types.ts'
import type { ConfigChange } from './config-change.ts'
import { findService, listOtherHostnames, rulesOf, withoutHostname } from './ingress.ts'
import { formatRuleExpression, hasRuleMark, recordComment, toTunnelTarget } from './marks.ts'
import { formatRecord } from './record-step.ts'
import { removeFile, type SetupRecord } from './setup-record.ts'
import type { Progress, SetupStep } from './setup-step.ts'

export interface TeardownWish {
  readonly api: CloudflareApi
  readonly made: SetupRecord
  readonly config: ConfigChange | undefined
  /** Delete the tunnel even if connectors are connected. */
  readonly isForced: boolean
  readonly progress: Progress
}

/** In reverse order of dependencies: the DNS record first. */
export async function toTeardownSteps(wish: TeardownWish): Promise<SetupStep[]> {
  return [
    ...(await toRecordSteps(wish)),
    ...(await toRuleSteps(wish)),
    ...(await toTunnelSteps(wish)),
    ...toConfigSteps(wish),
    ...toTokenSteps(wish),
  ]
}

async function toRecordSteps({ api, made, progress }: TeardownWish): Promise<SetupStep[]> {
  if (made.record === undefined) return []
  const { id, isMade } = made.record
  const record = (await api.listRecords(made.zone.id, made.hostname)).find((each) => each.id === id)
  const leave = (why: string): SetupStep[] => [{ part: 'record', verb: 'leave', what: why }]
  if (record === undefined) return leave(`${made.hostname} no longer has the record that was set up`)
  if (!isMade) return leave(`${formatRecord(record)}: not created by Burrow`)
  if (!isStillOurs(record, made)) return leave(`${formatRecord(record)}: changed since the setup`)
  return [
    {
      part: 'record',
      verb: 'delete',
      what: `${made.hostname} ${formatRecord(record)}`,
      async run() {
        await api.deleteRecord(made.zone.id, id)
        delete progress.record.record
        await progress.save()
      },
    },
  ]
}

function isStillOurs({ type, content, comment }: DnsRecord, { tunnel }: SetupRecord): boolean {
  return (
    type === 'CNAME' &&
    (comment === recordComment || (tunnel?.id !== undefined && content.toLowerCase() === toTunnelTarget(tunnel.id)))
  )
}

async function toRuleSteps({ api, made, progress }: TeardownWish): Promise<SetupStep[]> {
  if (made.rule === undefined) return []
  const { id, rulesetId, isMade, isRulesetMade } = made.rule
  const ruleset = await api.findCacheRules(made.zone.id)
  const rule = ruleset?.rules.find((each) => each.id === id)
  const leave = (why: string): SetupStep[] => [{ part: 'rule', verb: 'leave', what: why }]
  if (ruleset === undefined || rule === undefined)
    return leave(`the zone ${made.zone.name} no longer has the cache rule that was set up`)
  if (!isMade) return leave(`"${printable(rule.description, 80)}": not created by Burrow`)
  if (!hasRuleMark(rule.description) && rule.expression !== formatRuleExpression(made.hostname)) {
    return leave(`"${printable(rule.description, 80)}": changed since the setup`)
  }
  const isLast = isRulesetMade && ruleset.id === rulesetId && ruleset.rules.length === 1
  return [
    {
      part: 'rule',
      verb: 'delete',
      what: `no edge cache for ${made.hostname}${isLast ? ', and the ruleset that was created for it' : ''}`,
      async run() {
        await api.deleteCacheRule(made.zone.id, ruleset.id, id)
        if (isLast) await api.deleteCacheRuleset(made.zone.id, ruleset.id)
        delete progress.record.rule
        await progress.save()
      },
    },
  ]
}

async function toTunnelSteps(wish: TeardownWish): Promise<SetupStep[]> {
  const { api, made } = wish
  const { tunnel } = made
  if (tunnel === undefined) return []
  const shown = `"${printable(tunnel.name, 100)}"`
  const id =
    tunnel.id ?? (await api.listTunnels(made.account.id, tunnel.name)).find((each) => each.name === tunnel.name)?.id
  const remote = id === undefined ? undefined : await api.findTunnel(made.account.id, id)
  if (remote === undefined || remote.isDeleted)
    return [{ part: 'tunnel', verb: 'leave', what: `${shown} is already deleted` }]
  const { config } = remote.isRemotelyManaged ? await api.readConfiguration(made.account.id, remote.id) : { config: {} }
  const others = listOtherHostnames(rulesOf(config), made.hostname)
  if (tunnel.isMade && others.length === 0)
    return [toDeletion(wish, remote, countConnections(await api.listConnectors(made.account.id, remote.id)))]
  const why = tunnel.isMade ? `it also serves ${printable(others.join(', '), 200)}` : 'not created by Burrow'
  return [
    ...toIngressSteps(wish, remote.id, findService(rulesOf(config), made.hostname)),
    { part: 'tunnel', verb: 'leave', what: `${shown}: ${why}` },
  ]
}

function toDeletion(
  { api, made, isForced, progress }: TeardownWish,
  { id, name }: RemoteTunnel,
  connections: number,
): SetupStep {
  const what = `"${printable(name, 100)}" (${id})`
  if (connections > 0 && !isForced) {
    const why = `has ${formatCount(connections, 'connection')}: stop Burrow first (a killed connector is listed for some more minutes), or disconnect them with --force`
    return { part: 'tunnel', verb: 'refuse', what: `the tunnel ${what} ${why}` }
  }
  return {
    part: 'tunnel',
    verb: 'delete',
    what: connections > 0 ? `${what}, which has ${formatCount(connections, 'connection')}` : what,
    async run() {
      await api.deleteTunnel(made.account.id, id, isForced)
      delete progress.record.tunnel
      delete progress.record.ingress
      await progress.save()
    },
  }
}

function toIngressSteps(
  { api, made, progress }: TeardownWish,
  tunnelId: string,
  service: string | undefined,
): SetupStep[] {
  if (made.ingress === undefined || service === undefined) return []
  const route = `${made.hostname} -> ${printable(service)}`
  if (service !== made.ingress.service)
    return [{ part: 'ingress', verb: 'leave', what: `${route}: changed since the setup` }]
  return [
    {
      part: 'ingress',
      verb: 'delete',
      what: route,
      async run() {
        const { config: current } = await api.readConfiguration(made.account.id, tunnelId)
        await api.writeConfiguration(made.account.id, tunnelId, {
          ...current,
          ingress: withoutHostname(rulesOf(current), made.hostname),
        })
        delete progress.record.ingress
        await progress.save()
      },
    },
  ]
}

function toTokenSteps({ made: { tokenFile }, progress }: TeardownWish): SetupStep[] {
  if (tokenFile === undefined) return []
  return [
    {
      part: 'token',
      verb: 'delete',
      what: tokenFile,
      async run() {
        await removeFile(tokenFile)
        delete progress.record.tokenFile
        await progress.save()
      },
    },
  ]
}

function toConfigSteps({ config }: TeardownWish): SetupStep[] {
  if (config === undefined || !config.isNeeded) return []
  const setting = `"tunnel": ${JSON.stringify(config.after)}`
  if (config.impediment !== undefined)
    return [
      {
        part: 'config',
        verb: 'by-hand',
        what: `${config.file} cannot be written (${config.impediment}); add ${setting}`,
      },
    ]
  return [{ part: 'config', verb: 'change', what: `${config.file}: ${setting}`, run: () => config.apply() }]
}
