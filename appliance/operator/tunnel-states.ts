/** The states of a tunnel as people and Prometheus read them: `connected (4 connections)`. */
import type { TunnelState } from '../tunnel/tunnel.ts'

/** How good each state is: `fail` needs somebody, `warn` passes or does not matter yet. */
const grades: Readonly<Record<TunnelState, 'ok' | 'warn' | 'fail'>> = {
  off: 'ok',
  'missing-binary': 'fail',
  starting: 'warn',
  connected: 'ok',
  degraded: 'warn',
  reconnecting: 'warn',
  'backing-off': 'fail',
  failed: 'fail',
}

export const tunnelStates = Object.keys(grades) as readonly TunnelState[]

/** A newer Burrow may answer with a state unknown here. */
export function gradeOf(state: string): 'ok' | 'warn' | 'fail' {
  return grades[state as TunnelState] ?? 'warn'
}

export function formatTunnelState({
  state,
  connections,
  isStopping,
}: {
  readonly state: string
  readonly connections: number
  readonly isStopping?: boolean
}): string {
  const stopping = isStopping === true && state !== 'off' ? ', being stopped' : ''
  return (connections === 0 ? state : `${state} (${connections} connection${connections === 1 ? '' : 's'})`) + stopping
}
