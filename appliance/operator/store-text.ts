/**
 * The stores in `burrow status`: this machine's Nix store and folders, the depot, and upstreams.
 *
 *     store     /nix/store, readable
 *     depot     12.0 GiB of 50.0 GiB in 1,234 paths, 100.0 GiB free on its disk; 3 pins
 *               pushed today: ci 1.2 GiB; 2 paths refused
 *     upstream  https://cache.nixos.org/ answers
 */
import { formatBytes, formatCount, printable } from '../terminal/format.ts'
import type { DepotReport, StoreReport } from './status.ts'

type Line = readonly [subject: string, text: string]

/** Further users are only counted. */
const maxPushers = 8
/** Further roots with problems, too. */
const maxRoots = 5

export function storeLines(storeDir: string, stores: readonly StoreReport[]): Line[] {
  const own = stores.filter(({ type }) => type === 'nix' || type === 'directory')
  const depots = stores.filter(({ type }) => type === 'depot')
  const upstreams = stores.filter(({ type }) => type === 'upstream')
  return [
    ...(own.length === 0
      ? [
          [
            'store',
            `no Nix store on this machine: only ${upstreams.length > 0 ? 'pushed and upstream paths are' : 'pushed paths are'} served`,
          ] as const,
        ]
      : head('store', own, (store) => ownText(storeDir, store))),
    ...head('depot', depots, depotText),
    ...head('upstream', upstreams, upstreamText),
  ]
}

function head(
  subject: string,
  stores: readonly StoreReport[],
  format: (store: StoreReport) => readonly string[],
): Line[] {
  return stores
    .flatMap((store) => [...format(store), ...withdrawnText(store)])
    .map((text, index) => [index === 0 ? subject : '', text] as const)
}

function ownText(storeDir: string, { type, location, isReadable, problem, leases, published }: StoreReport): string[] {
  const place =
    type === 'nix' ? (location === storeDir ? '' : ` (files in ${printable(location)})`) : ` in ${printable(location)}`
  const what = type === 'nix' ? printable(storeDir) : printable(type)
  const unprotected = leases?.active === false ? ', no protection from garbage collection' : ''
  return [
    `${what}${place}, ${isReadable ? 'readable' : 'not readable'}${unprotected}`,
    ...(isReadable || !problem ? [] : [printable(problem)]),
    ...publishedText(published),
  ]
}

function publishedText(published: StoreReport['published']): string[] {
  if (published === undefined) return []
  const { state, paths, ofPaths, rootProblems } = published
  return [
    ...(state === 'current' ? [`${formatCount(paths)} of ${formatCount(ofPaths, 'path')} published`] : []),
    ...rootProblems
      .slice(0, maxRoots)
      .map(({ root, problem }) => `the root "${printable(root)}" ${printable(problem)}`),
    ...(rootProblems.length > maxRoots ? [`and ${formatCount(rootProblems.length - maxRoots, 'more root')}`] : []),
  ]
}

function withdrawnText({ type, withdrawn }: StoreReport): string[] {
  if (withdrawn.now === 0 || type === 'depot') return []
  return [`${formatCount(withdrawn.now, 'path')} out of service: the files do not match the database (see the log)`]
}

function depotText({ location, isReadable, problem, depot }: StoreReport): string[] {
  if (depot === undefined) return [printable(location)]
  return [
    `${formatBytes(depot.usedBytes)} of ${formatBytes(depot.maxBytes)} in ${formatCount(depot.objects, 'path')}, ${formatBytes(depot.freeBytes)} free on its disk; ${formatCount(depot.pins, 'pin')}`,
    `pushed today: ${pushedText(depot)}${depot.refusedToday > 0 ? `; ${formatCount(depot.refusedToday, 'path')} refused` : ''}`,
    ...(depot.unfinishedUploads > 0
      ? [`${formatCount(depot.unfinishedUploads, 'unfinished upload')}, ${formatBytes(depot.unfinishedBytes)}`]
      : []),
    ...(depot.damaged > 0
      ? [`${formatCount(depot.damaged, 'NAR')} damaged: out of service until pushed again (see the log)`]
      : []),
    ...(depot.recovered.lostNars > 0
      ? [`${formatCount(depot.recovered.lostNars, 'NAR')} missing at the start: push them again, or restore a backup`]
      : []),
    ...(depot.shortage ? [`the last push failed for lack of space: ${printable(depot.shortage)}`] : []),
    ...(isReadable || !problem ? [] : [printable(problem)]),
  ]
}

function pushedText({ pushedToday }: DepotReport): string {
  if (pushedToday.length === 0) return 'nothing'
  const shown = pushedToday
    .slice(0, maxPushers)
    .map(({ user, bytes }) => `${printable(user, 60)} ${formatBytes(bytes)}`)
  return [
    ...shown,
    ...(pushedToday.length > maxPushers ? [`${formatCount(pushedToday.length - maxPushers)} more`] : []),
  ].join(', ')
}

function upstreamText({ location, isReadable, problem }: StoreReport): string[] {
  return isReadable
    ? [printable(location)]
    : [`${printable(location)} does not answer: its paths count as absent`, ...(problem ? [printable(problem)] : [])]
}
