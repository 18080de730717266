/** `/usage?days=30&user=ben` on the operator's listener: a UsageSummary as JSON, or `{"error": …}`. */
import type { IncomingMessage } from 'node:http'

import type { Usage } from '../../src/index.ts'

export interface UsageAnswer {
  readonly status: number
  readonly value: unknown
}

export async function answerUsage(usage: Usage | undefined, { method, url }: IncomingMessage): Promise<UsageAnswer> {
  if (method !== 'GET' && method !== 'HEAD') return fail(405, 'Use GET')
  if (usage === undefined)
    return fail(409, 'This Burrow records no usage figures: remove "analytics": false from its config, and restart it')
  const { searchParams } = new URL(url ?? '/', 'http://localhost')
  const days = Number(searchParams.get('days'))
  if (!Number.isInteger(days) || days < 1 || days > usage.keepDays)
    return fail(400, `Figures are kept for ${usage.keepDays} days: name a number of days from 1 to ${usage.keepDays}`)
  const summary = await usage.summarize({ days, user: searchParams.get('user') ?? undefined })
  if (summary === undefined) return fail(503, 'The usage figures cannot be read now: see the log of Burrow')
  return { status: 200, value: summary }
}

const fail = (status: number, error: string): UsageAnswer => ({ status, value: { error } })
