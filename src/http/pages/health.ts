/** The health of the cache in a sentence: how people see at once whether the cause is here. */
import { formatBytes, formatCount, formatSpan } from '../../format.ts'
import type { StoreHealth } from '../../store/health.ts'
import type { SiteStatus } from '../site-status.ts'
import type { Tone } from './parts.ts'

export interface Verdict {
  readonly tone: Tone
  /** `Everything works`. */
  readonly title: string
  /** Whole sentences, without text from outside. */
  readonly details: string
}

export function judge(status: SiteStatus): Verdict {
  const faults = [...tunnelFaults(status), ...storeFaults(status), ...larderFaults(status)]
  const tone = faults.some((fault) => fault.tone === 'bad') ? 'bad' : faults.length > 0 ? 'warn' : 'good'
  const titles = { good: 'Everything works', warn: 'The cache works, with restrictions', bad: 'The cache is ill' }
  return {
    tone,
    title: titles[tone],
    details: [...faults.map(({ text }) => text), ...describeGood(status)]
      .map((text) => `${capitalise(text)}.`)
      .join(' '),
  }
}

interface Shortcoming {
  readonly tone: 'warn' | 'bad'
  readonly text: string
}

function tunnelFaults({ service, now }: SiteStatus): Shortcoming[] {
  const tunnel = service?.tunnel
  if (tunnel === undefined || tunnel.grade === 'ok') return []
  const span = formatSpan(now.getTime() - tunnel.since.getTime())
  return [{ tone: tunnel.grade === 'fail' ? 'bad' : 'warn', text: `the tunnel has been ${tunnel.state} for ${span}` }]
}

function storeFaults({ stores, answersAbsent }: SiteStatus): Shortcoming[] {
  const faults: Shortcoming[] = stores
    .filter(({ isReadable }) => !isReadable)
    .map((store) =>
      store.type === 'upstream'
        ? { tone: 'warn', text: 'another cache, which this one asks for missing paths, does not answer' }
        : { tone: 'bad', text: `${nameOfStore(store)} cannot be read` },
    )
  if (answersAbsent) faults.push({ tone: 'bad', text: 'all paths are answered as absent until a store can be read' })
  for (const { depot } of stores) {
    if (depot?.shortage !== undefined) faults.push({ tone: 'warn', text: 'the last push failed for lack of space' })
    if (depot !== undefined && depot.damaged > 0)
      faults.push({ tone: 'warn', text: `${formatCount(depot.damaged, 'pushed NAR')} must be pushed again` })
  }
  return faults
}

function larderFaults({ larder }: SiteStatus): Shortcoming[] {
  return larder?.unwritable === undefined ? [] : [{ tone: 'warn', text: 'the larder cannot keep compressed NARs' }]
}

function describeGood({ service, stores, larder, now }: SiteStatus): string[] {
  const tunnel = service?.tunnel
  const local = stores.filter(({ type, isReadable }) => (type === 'nix' || type === 'directory') && isReadable)
  const depot = stores.find((store) => store.depot !== undefined)?.depot
  return [
    ...(tunnel?.grade === 'ok'
      ? [`the tunnel has been ${tunnel.state} for ${formatSpan(now.getTime() - tunnel.since.getTime())}`]
      : []),
    ...(local.length > 0 ? [`${local.map(nameOfStore).join(' and ')} can be read`] : []),
    ...(depot === undefined
      ? []
      : [
          depot.objects === 0
            ? 'nothing was pushed yet'
            : `the depot has ${formatCount(depot.objects, 'pushed path')} in ${formatBytes(depot.usedBytes)}`,
        ]),
    ...(larder === undefined || larder.unwritable !== undefined || larder.files === 0
      ? []
      : [`the larder has ${formatCount(larder.files, 'compressed NAR')} in ${formatBytes(larder.bytes)}`]),
  ]
}

/** Without its location. */
export function nameOfStore({ type }: Pick<StoreHealth, 'type'>): string {
  return { nix: 'the Nix store', directory: 'a cache directory', depot: 'the depot', upstream: 'another cache' }[type]
}

const capitalise = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)
