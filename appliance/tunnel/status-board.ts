/**
 * The current status of the tunnel, always as one consistent value. Changes of state are logged; the level depends on
 * whether someone must act.
 */
import type { Log } from '../../src/index.ts'
import { nothingKnown, type TunnelState, type TunnelStatus } from './tunnel.ts'
import type { TunnelClock } from './tunnel-clock.ts'
import type { LogLevel } from './watch/log-lines.ts'

export interface StatusBoard {
  readonly status: TunnelStatus
  /** `since` follows from a change of the state. */
  set(changes: Partial<Omit<TunnelStatus, 'since'>>): void
}

/** Changes of these alone are not reported. */
const quiet: ReadonlySet<string> = new Set(['lastError', 'lastConnected'])

const levelByState: Readonly<Record<TunnelState, LogLevel>> = {
  off: 'info',
  'missing-binary': 'warn',
  starting: 'info',
  connected: 'info',
  degraded: 'warn',
  reconnecting: 'warn',
  'backing-off': 'warn',
  failed: 'error',
}

export interface StatusBoardParts {
  readonly first: Pick<TunnelStatus, 'mode' | 'hostname' | 'reason'>
  readonly clock: TunnelClock
  readonly log: Log
  readonly onStatus: ((status: TunnelStatus) => void) | undefined
}

export function createStatusBoard({ first, clock, log, onStatus }: StatusBoardParts): StatusBoard {
  let status: TunnelStatus = {
    state: 'starting',
    since: new Date(clock.now()),
    ...nothingKnown,
    ...first,
  }

  function notify(): void {
    try {
      onStatus?.(status)
    } catch (error) {
      log.error({ err: error }, 'A listener for the status of the tunnel failed')
    }
  }

  return {
    get status() {
      return status
    },
    set(changes) {
      const changed = Object.entries(changes).filter(
        ([name, value]) => !isSame(status[name as keyof TunnelStatus], value),
      )
      if (changed.length === 0) return
      const { state } = status
      status = {
        ...status,
        ...changes,
        ...(changes.state !== undefined && changes.state !== state ? { since: new Date(clock.now()) } : {}),
      }
      // The supervisor logs each start, with the process.
      const isOtherFault =
        status.state === 'failed' && status.nextAttempt !== undefined && changed.some(([name]) => name === 'reason')
      if ((status.state !== state && status.state !== 'starting') || isOtherFault) logState(log, status)
      if (changed.some(([name]) => !quiet.has(name))) notify()
    },
  }
}

function logState(
  log: Log,
  { state, reason, remedy, hostname, connections, pid, binary, restarts, nextAttempt }: TunnelStatus,
): void {
  const fields = {
    tunnel: {
      state,
      hostname,
      connections,
      pid,
      version: binary?.version,
      restarts,
      nextAttempt: nextAttempt?.toISOString(),
    },
  }
  log[levelByState[state]](
    fields,
    `The tunnel is ${state}: ${reason}${remedy === undefined ? '' : `. What to do: ${remedy}`}`,
  )
}

function isSame(a: unknown, b: unknown): boolean {
  return a === b || (a instanceof Date && b instanceof Date && a.getTime() === b.getTime())
}
