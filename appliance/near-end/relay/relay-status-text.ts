/** What `burrow relay status` prints. */
import type { RelayStatus } from '../../../src/index.ts'
import { formatBytes, formatCount, formatRelative, printable } from '../../terminal/format.ts'

export function formatRelayStatus(
  { url, problem, startedAt, since, narInfos, nars, bytes }: RelayStatus,
  now: number,
): string {
  const questions = narInfos.asked === 0 ? '' : `, asked in ${formatCount(narInfos.asked, 'question')}`
  const rows: readonly (readonly [string, string])[] = [
    ['Cache', problem === null ? `${url}, reached` : `${url} cannot be reached: ${printable(problem)}`],
    ['Started', formatRelative(startedAt, now)],
    ['Counts', `since ${since.slice(0, 10)}`],
    ['Narinfos', `${formatCount(narInfos.recalled)} from memory${questions}`],
    [
      'NARs',
      `${formatCount(nars.sent)} sent (${formatBytes(bytes.nars)}), ${formatCount(nars.underWay)} under way, ${formatCount(nars.failed)} failed`,
    ],
    ['Line', `${formatBytes(bytes.received)} received, ${formatCount(nars.resumed, 'cut')} continued`],
    ['Deltas', `${formatCount(nars.byDelta, 'NAR')}, ${formatBytes(bytes.savedByDeltas)} saved`],
  ]
  return rows.map(([name, text]) => `${name.padEnd(10)}${text}\n`).join('')
}
