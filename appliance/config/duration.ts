/**
 * A time as cloudflared writes it (Go's duration, whole units): "30s", "2m", "1m30s", "500ms". In milliseconds, or
 * `undefined`.
 */
export function parseDuration(text: string): number | undefined {
  if (text === '' || !/^(?:\d{1,9}(?:ms|s|m|h))+$/.test(text)) return undefined
  const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }
  let total = 0
  for (const [, digits, unit] of text.matchAll(/(\d+)(ms|s|m|h)/g)) total += Number(digits) * units[unit!]!
  return total
}
