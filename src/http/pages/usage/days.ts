/** The days of a summary as columns of charts, and as rows of the table behind them; long periods by week or month. */
import { formatBytes, formatCount, printable } from '../../../format.ts'
import type { DayUsage, UsageSummary } from '../../usage.ts'
import type { Column, Series } from '../charts/columns.ts'

export interface Span {
  /** `27 Nov`, or `Nov` for a month. */
  readonly label: string
  /** `27 Nov 2026`, `Week from 3 Nov 2026`, `Nov 2026` */
  readonly name: string
  readonly bytes: number
  readonly requests: number
  readonly downloads: number
  /** Bytes, one for each series of `sharesOf`. */
  readonly shares: readonly number[]
}

/** What one column of a chart stands for. */
export type Step = 'day' | 'week' | 'month'

/** More columns can hardly be told apart on a phone. */
export function stepOf(days: number): Step {
  return days <= 31 ? 'day' : days <= 31 * 7 ? 'week' : 'month'
}

const months = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')
const maxNameLength = 40
const colours = [1, 2, 3, 4, 5] as const

/** `27 Nov`; with a year `27 Nov 2026`. */
export function shortDate(at: number, hasYear = false): string {
  const date = new Date(at)
  return `${date.getUTCDate()} ${months[date.getUTCMonth()]}${hasYear ? ` ${date.getUTCFullYear()}` : ''}`
}

/** `27 Nov, 14:05` */
export function shortTime(at: number): string {
  return `${shortDate(at)}, ${new Date(at).toISOString().slice(11, 16)}`
}

export function userText(user: string): string {
  return user === '' ? 'no login' : printable(user, maxNameLength)
}

/** The series of a chart by user: those who received most, and the others as one. */
export function seriesOf({ users }: UsageSummary): {
  readonly names: readonly string[]
  readonly series: readonly Series[]
} {
  const names = users
    .slice(0, users.length > colours.length ? colours.length - 1 : colours.length)
    .map(({ user }) => user)
  const labels = [...names.map(userText), ...(users.length > names.length ? ['others'] : [])]
  return { names, series: labels.map((label, at) => ({ label, colour: colours[at]! })) }
}

export function spansOf(summary: UsageSummary): Span[] {
  const { days } = summary
  const { names, series } = seriesOf(summary)
  const sharesOf = (all: readonly DayUsage[]) => {
    const named = names.map((name) => sum(all, ({ users }) => users.find(({ user }) => user === name)?.bytes ?? 0))
    const others = sum(all, ({ bytes }) => bytes) - named.reduce((total, one) => total + one, 0)
    return series.length > names.length ? [...named, Math.max(0, others)] : named
  }
  const step = stepOf(days.length)
  return groupsOf(days).map(({ name, days: group }) => ({
    label: step === 'month' ? name.slice(0, 3) : shortDate(Date.parse(group[0]!.day)),
    name,
    bytes: sum(group, ({ bytes }) => bytes),
    requests: sum(group, ({ requests }) => requests),
    downloads: sum(group, ({ downloads }) => downloads),
    shares: sharesOf(group),
  }))
}

export function byteColumns(spans: readonly Span[]): Column[] {
  return spans.map(({ label, name, bytes, shares }) => ({
    label,
    values: shares,
    hint: `${name}: ${formatBytes(bytes)}`,
  }))
}

export function requestColumns(spans: readonly Span[]): Column[] {
  return spans.map(({ label, name, requests }) => ({
    label,
    values: [requests],
    hint: `${name}: ${formatCount(requests, 'request')}`,
  }))
}

interface Group {
  readonly name: string
  readonly days: readonly DayUsage[]
}

/** By week, the last group is whole and ends today; the first may be shorter. */
function groupsOf(days: readonly DayUsage[]): Group[] {
  switch (stepOf(days.length)) {
    case 'day':
      return days.map((day) => ({ name: shortDate(Date.parse(day.day), true), days: [day] }))
    case 'week': {
      const groups: Group[] = []
      for (let end = days.length; end > 0; end -= 7) {
        const week = days.slice(Math.max(0, end - 7), end)
        groups.unshift({ name: `Week from ${shortDate(Date.parse(week[0]!.day), true)}`, days: week })
      }
      return groups
    }
    case 'month':
      return [...Map.groupBy(days, ({ day }) => day.slice(0, 7))].map(([month, all]) => ({
        name: `${months[Number(month.slice(5)) - 1]} ${month.slice(0, 4)}`,
        days: all,
      }))
  }
}

function sum(days: readonly DayUsage[], read: (day: DayUsage) => number): number {
  return days.reduce((total, day) => total + read(day), 0)
}
