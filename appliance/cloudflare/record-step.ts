/**
 * The CNAME of the public host name: `cache.example.org CNAME <tunnel>.cfargotunnel.com`, proxied. What others put
 * there is theirs until somebody says otherwise.
 */
import { printable } from '../terminal/format.ts'
import type { DnsRecord } from './api-types.ts'
import { recordComment, toTunnelTarget } from './marks.ts'
import { requireTunnelId, type SetupStep, type StepOptions } from './setup-step.ts'
import type { Survey } from './survey.ts'

/** What cannot stand beside a CNAME at Cloudflare; the text records may. */
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
        what: `${wanted}, made by an earlier run`,
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
    if (made?.record?.id === only.id) return { part: 'record', verb: 'keep', what: `${wanted}, made by somebody else` }
    const what = `${wanted}, which somebody else made; teardown will leave it`
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
        ? `others lead ${hostname} elsewhere: ${formatRecords(foreign)}`
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
  const drift = `others lead ${hostname} elsewhere: ${there}`
  if (foreign.some(({ type }) => type === 'NS')) {
    const what = `${hostname} is given to other name servers: ${there}; choose another host name, or remove them first`
    return { part: 'record', verb: 'refuse', what, drift, remedy: 'remove them, and run "burrow tunnel setup"' }
  }
  const what = `${hostname} is in use, and Burrow did not make it: ${there}; choose another host name, or replace it with --replace-record`
  return {
    part: 'record',
    verb: 'refuse',
    what,
    drift,
    remedy: 'run "burrow tunnel setup --replace-record" to take it back',
  }
}

/** By its mark, or by its id where somebody has changed the comment and left the rest. */
function isOurs(record: DnsRecord, made: { id: string; isMade: boolean } | undefined): boolean {
  return (
    record.type === 'CNAME' && (record.comment === recordComment || (made?.isMade === true && made.id === record.id))
  )
}

function isRight({ content, type, isProxied }: DnsRecord, target: string | undefined): boolean {
  return type === 'CNAME' && isProxied && content.toLowerCase() === target
}

function describeDrift(record: DnsRecord, target: string | undefined): string {
  if (record.content.toLowerCase() === target) return 'the DNS record is not proxied, so that it leads nowhere'
  return `the DNS record leads to ${printable(record.content)} instead of ${target ?? 'the tunnel'}`
}

const formatRecords = (records: readonly DnsRecord[]) => records.map(formatRecord).join(', ')

export function formatRecord({ type, content, isProxied }: DnsRecord): string {
  return `${type} ${printable(content, 120)}${isProxied ? ' (proxied)' : ''}`
}
