/** Times such as "30d", "12h", "90s", "1m30s" and "500ms". */

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
/** A million days: far below the largest date of JavaScript. */
const maxMs = 1_000_000 * 86_400_000

/** In milliseconds; `undefined` if the text is not a time, or is out of range. */
export function parseDuration(text: string): number | undefined {
  if (!/^(?:\d{1,9}(?:ms|s|m|h|d))+$/.test(text)) return undefined
  let total = 0
  for (const [, digits, unit] of text.matchAll(/(\d+)(ms|s|m|h|d)/g)) total += Number(digits) * units[unit!]!
  return total <= maxMs ? total : undefined
}
