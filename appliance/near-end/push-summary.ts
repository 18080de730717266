/** The result of a push, as one line for people and as fields for JSON. */
import type { PushResult } from '../../src/index.ts'
import { formatBytes, formatCount } from '../terminal/format.ts'

export function countByStatus({ paths }: PushResult): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { status } of paths.values()) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

export function toSummary(result: PushResult) {
  return { paths: result.paths.size, ...countByStatus(result), narBytes: result.narBytes, wireBytes: result.wireBytes }
}

export function formatSummary(result: PushResult, seconds: number, url: string, isDryRun: boolean): string {
  if (result.paths.size === 0) return 'Nothing to push.'
  const counts = countByStatus(result)
  const texts: readonly (readonly [status: string, text: string])[] = [
    ['elsewhere', 'at an upstream cache'],
    ['present', 'already there'],
    ['would-push', 'would be pushed'],
    ['pushed', 'pushed'],
    ['conflict', 'there with different contents'],
    ['refused', 'refused'],
  ]
  const parts = texts.flatMap(([status, text]) =>
    counts[status] === undefined ? [] : [`${formatCount(counts[status])} ${text}`],
  )
  const rate = seconds > 0 ? `, ${formatBytes(Math.round(result.wireBytes / seconds))}/s` : ''
  const sent =
    isDryRun || result.wireBytes === 0
      ? ''
      : `; ${formatBytes(result.narBytes)} as ${formatBytes(result.wireBytes)} in ${seconds.toFixed(1)} s${rate}`
  return `${formatCount(result.paths.size, 'path')} to ${url}: ${parts.join(', ')}${sent}`
}
