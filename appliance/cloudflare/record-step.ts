/**
 * The CNAME of the public host name: `cache.example.org CNAME <tunnel>.cfargotunnel.com`, proxied. Records that Burrow
 * did not create are only replaced with --replace-record.
 */
import { printable } from '../terminal/format.ts'
import type { DnsRecord } from './api-types.ts'
import { recordComment, toTunnelTarget } from './marks.ts'
import { requireTunnelId, type SetupStep, type StepOptions } from './setup-step.ts'
import type { Survey } from './survey.ts'

/** Types that cannot exist beside a CNAME at Cloudflare; TXT records can. */
const conflicting = new Set(['A', 'AAAA', 'CNAME', 'NS', 'HTTPS', 'SVCB'])

export function toRecordStep(
  { records, tunnel, hostname, zone, made }: Survey,
  { api, mayReplaceRecord, progress }: StepOptions,
): SetupStep {
  const target = tunnel === undefined ? undefined : toTunnelTarget(tunnel.id)
  const inTheWay = records.filter(({ type }) => conflicting.has(type))
  const own = inTheWay.find((record) => isOurs(record, made?.record))
  const foreign = inTheWay.filter((record) => record !== own)
  const wanted = `CNAME ${hostname} -> ${target ?? "the new tunnel's name"}, proxied`
  const remember = (id: string, isMade: boolean) => {
    progress.record.record = { id, isMade }
    return progress.save()
  }

  if (own !== undefined && foreign.length === 0) {
    if (isRight(own, target)) {
      if (made?.record?.id === own.id) return { part: 'record', verb: 'keep', what: wanted }
      return {
        part: 'record',
        verb: 'adopt',
        what: `${wanted}, created by an earlier run`,
        run: () => remember(own.id, true),
      }
    }
    return {
      part: 'record',
      verb: 'change',
      what: `${formatRecord(own)} -> ${wanted}`,
      drift: describeDrift(own, target),
      async run() {
        const { id } = await api.changeRecord(zone.id, own.id, toTunnelTarget(requireTunnelId(progress)))
        await remember(id, true)
      },
    }
  }
  const [only] = foreign
  if (only !== undefined && foreign.length === 1 && own === undefined && isRight(only, target)) {
    if (made?.record?.id === only.id) return { part: 'record', verb: 'keep', what: `${wanted}, not created by Burrow` }
    const what = `${wanted}, not created by Burrow; teardown will keep it`
    return { part: 'record', verb: 'adopt', what, run: () => remember(only.id, false) }
  }
  if (foreign.length > 0 && !(mayReplaceRecord && foreign.every(({ type }) => type !== 'NS')))
    return refuse(foreign, hostname)
  return {
    part: 'record',
    verb: foreign.length > 0 ? 'change' : 'create',
    what: foreign.length > 0 ? `${formatRecords(inTheWay)} -> ${wanted}` : wanted,
    drift:
      foreign.length > 0
        ? `${hostname} has DNS records that Burrow did not create: ${formatRecords(foreign)}`
        : `there is no DNS record for ${hostname}`,
    async run() {
      const goal = toTunnelTarget(requireTunnelId(progress))
      const { id } = await api.createRecord(
        zone.id,
        hostname,
        goal,
        inTheWay
          .toSorted((left, right) => Number(right.type === 'CNAME') - Number(left.type === 'CNAME'))
          .map((record) => record.id),
      )
      await remember(id, true)
    },
  }
}

function refuse(foreign: readonly DnsRecord[], hostname: string): SetupStep {
  const there = formatRecords(foreign)
  const drift = `${hostname} has DNS records that Burrow did not create: ${there}`
  if (foreign.some(({ type }) => type === 'NS')) {
    const what = `${hostname} is delegated to other name servers: ${there}; choose another host name, or remove these records first`
    return { part: 'record', verb: 'refuse', what, drift, remedy: 'remove them and run "burrow tunnel setup"' }
  }
  const what = `${hostname} has DNS records that Burrow did not create: ${there}; choose another host name, or replace them with --replace-record`
  return {
    part: 'record',
    verb: 'refuse',
    what,
    drift,
    remedy: 'run "burrow tunnel setup --replace-record" to replace them',
  }
}

/** By its comment, or by its id if only the comment was changed. */
function isOurs(record: DnsRecord, made: { id: string; isMade: boolean } | undefined): boolean {
  return (
    record.type === 'CNAME' && (record.comment === recordComment || (made?.isMade === true && made.id === record.id))
  )
}

function isRight({ content, type, isProxied }: DnsRecord, target: string | undefined): boolean {
  return type === 'CNAME' && isProxied && content.toLowerCase() === target
}

function describeDrift(record: DnsRecord, target: string | undefined): string {
  if (record.content.toLowerCase() === target) return 'the DNS record is not proxied, so clients cannot connect'
  return `the DNS record points to ${printable(record.content)} instead of ${target ?? 'the tunnel'}`
}

const formatRecords = (records: readonly DnsRecord[]) => records.map(formatRecord).join(', ')

export function formatRecord({ type, content, isProxied }: DnsRecord): string {
  return `${type} ${printable(content, 120)}${isProxied ? ' (proxied)' : ''}`
}
