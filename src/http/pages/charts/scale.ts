/** The vertical axis of a chart: from zero, with three to five round steps. */
import { formatCount } from '../../../format.ts'

export interface Tick {
  readonly value: number
  readonly label: string
}

export interface Scale {
  /** The upper end, at least the largest value; above 0. */
  readonly top: number
  /** From 0 to `top`. */
  readonly ticks: readonly Tick[]
}

export type Unit = 'bytes' | 'count'

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
const wantedSteps = 3

export function scaleFor(max: number, unit: Unit): Scale {
  // Of a few stacked sizes.
  const value = max > 0 ? Math.min(max, 100 * Number.MAX_SAFE_INTEGER) : 0
  const power = unit === 'bytes' ? powerOf(value) : 0
  const factor = 1024 ** power
  // Neither requests nor bytes have fractions.
  const least = power === 0 ? 1 : 0
  const step = Math.max(least, niceStep(Math.max(value, 1) / factor / wantedSteps))
  const steps = Math.max(1, Math.ceil(value / factor / step - 1e-9))
  const label = unit === 'bytes' ? (amount: number) => `${amount} ${byteUnits[power]}` : countLabel(steps * step)
  return {
    top: steps * step * factor,
    ticks: Array.from({ length: steps + 1 }, (_, at) => {
      const amount = Number((at * step).toPrecision(6))
      return { value: at * step * factor, label: at === 0 ? '0' : label(amount) }
    }),
  }
}

/** What can be drawn: 0 for what is negative or no number; at most 8 PiB. */
export function toSize(value: number): number {
  return value > 0 ? Math.min(value, Number.MAX_SAFE_INTEGER) : 0
}

/** For attributes: at most two decimals. */
export function round(value: number): number {
  return Math.round(value * 100) / 100
}

/** 1, 2 or 5 times a power of ten; at least `value`. */
function niceStep(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  const digit = [1, 2, 5].find((one) => one * power >= value * (1 - 1e-9)) ?? 10
  return digit * power
}

function powerOf(bytes: number): number {
  let power = 0
  while (bytes >= 1024 ** (power + 1) && power < byteUnits.length - 1) power++
  return power
}

/** All in the same unit: `5 k`, `10 k`. */
function countLabel(top: number): (count: number) => string {
  const [factor, unit] = top >= 1_000_000 ? [1_000_000, ' M'] : top >= 10_000 ? [1000, ' k'] : [1, '']
  return (count) => (unit === '' ? formatCount(count) : `${Number((count / factor!).toPrecision(3))}${unit}`)
}
