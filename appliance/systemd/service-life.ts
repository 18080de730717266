/** What `serve` tells systemd at the turns of its life, in one place; where no systemd listens, nothing at all. */
import type { Log } from '../../src/index.ts'
import type { Listener } from '../listener.ts'
import type { Machine } from '../machine.ts'
import type { TunnelStatus } from '../tunnel/tunnel.ts'
import { findNotifier } from './notify.ts'
import { findWatchdogIntervalMs, isAnswering, startWatchdog, type Watchdog } from './watchdog.ts'

export interface ServiceLife {
  /** The listener answers: from now on the watchdog asks it. */
  started(listener: Listener): void
  tunnel(status: TunnelStatus): void
  reloading(): void
  reloaded(): void
  stopping(): void
}

const silent: ServiceLife = { started() {}, tunnel() {}, reloading() {}, reloaded() {}, stopping() {} }

export function createServiceLife({ env, pid }: Pick<Machine, 'env' | 'pid'>, log: Log): ServiceLife {
  const notifier = findNotifier(env, log)
  if (notifier === undefined) return silent
  let status = 'STATUS=Serving'
  let watchdog: Watchdog | undefined
  const intervalMs = findWatchdogIntervalMs(env, pid)
  return {
    started(listener) {
      void notifier.send('READY=1', status)
      if (intervalMs === undefined) return
      const isAlive = (timeoutMs: number) => isAnswering(listener.address, timeoutMs)
      watchdog = startWatchdog({ intervalMs, isAlive, tell: () => notifier.send('WATCHDOG=1'), after, log })
    },
    tunnel({ state, hostname, connections, reason }) {
      const next = `STATUS=Serving; tunnel ${state === 'connected' ? `connected: ${hostname ?? 'no name yet'}, ${connections} connections` : `${state}: ${reason}`}`
      if (next === status) return
      status = next
      void notifier.send(status)
    },
    reloading: () => void notifier.send('RELOADING=1'),
    reloaded: () => void notifier.send('READY=1', status),
    stopping() {
      // The listener is closed on purpose soon; that we still live is told all the same.
      watchdog?.stopAsking()
      void notifier.send('STOPPING=1', 'STATUS=Stopping: requests under way may finish')
    },
  }
}

/** Keeps no program alive. */
function after(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms).unref()
  return () => clearTimeout(timer)
}
