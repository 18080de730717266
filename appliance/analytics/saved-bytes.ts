/**
 * What a reply with bytes of a NAR did not have to send. Parts of an interrupted transfer count by their share, so that
 * together they save as much as the whole.
 */
import type { Exchange } from '../../src/index.ts'

export interface Saved {
  readonly by: 'compression' | 'delta'
  readonly bytes: number
}

export function savedBytesOf({ nar, servedFrom, bytes, status, isComplete }: Exchange): Saved | undefined {
  if (nar?.insteadOfBytes === undefined || bytes === 0) return undefined
  const whole = nar.wholeBytes ?? (isComplete && status === 200 ? bytes : undefined)
  if (whole === undefined || whole <= 0 || whole >= nar.insteadOfBytes) return undefined
  return {
    by: servedFrom === 'delta' ? 'delta' : 'compression',
    bytes: Math.round((Math.min(bytes, whole) / whole) * (nar.insteadOfBytes - whole)),
  }
}
