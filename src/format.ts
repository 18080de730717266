/** Sizes, times and foreign text as people read them, in a terminal and on pages. */

const minute = 60
const hour = 60 * minute
const day = 24 * hour

/** `12.3 GiB`; whole bytes below a KiB. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = bytes
  let unit = 0
  // 1023.96 would be shown as "1024.0".
  while (value >= (unit === 0 ? 1024 : 1023.95) && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}

/** `1,234,567` in every locale. */
export function formatCount(count: number, noun?: string): string {
  const digits = String(Math.round(count)).replaceAll(/\B(?=(?:\d{3})+$)/g, ',')
  return noun === undefined ? digits : `${digits} ${noun}${count === 1 ? '' : 's'}`
}

/** `3 h 5 min`: the two largest parts that matter. */
export function formatSpan(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  if (seconds < minute) return `${seconds} s`
  if (seconds < hour) return `${Math.floor(seconds / minute)} min`
  if (seconds < day) return join(seconds, hour, 'h', minute, 'min')
  const days = Math.floor(seconds / day)
  return days < 10 ? join(seconds, day, days === 1 ? 'day' : 'days', hour, 'h') : `${days} days`
}

function join(seconds: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((seconds % large) / small)
  return `${Math.floor(seconds / large)} ${largeName}${rest === 0 ? '' : ` ${rest} ${smallName}`}`
}

/**
 * `3 h 5 min ago`, `in 2 days`; the text itself when it is no date. What is ahead is rounded: what was just set to 48
 * hours is in 2 days.
 */
export function formatRelative(date: string, now: number): string {
  const at = Date.parse(date)
  if (Number.isNaN(at)) return printable(date)
  return at > now ? `in ${formatSpan(roundSpan(at - now))}` : `${formatSpan(now - at)} ago`
}

/** To the smallest part that is shown. */
function roundSpan(ms: number): number {
  const seconds = ms / 1000
  const part = 1000 * (seconds < minute ? 1 : seconds < day ? minute : seconds < 10 * day ? hour : day)
  return Math.round(ms / part) * part
}

/** `2027-01-31 14:05`, in UTC. */
export function formatTime(date: Date): string {
  return date.toISOString().slice(0, 16).replace('T', ' ')
}

/**
 * Text from elsewhere as one harmless line: it must not move the cursor, end the line, turn its direction or fill the
 * screen.
 */
export function printable(text: string, maxLength = 300): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+/gu, ' ').trim()
  return line.length > maxLength ? `${line.slice(0, maxLength).replace(/[\ud800-\udbff]$/, '')}…` : line
}
