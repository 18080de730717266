/** What `serve` tells systemd at the turns of its life, in one place; where no systemd listens, nothing at all. */
import type { Log } from '../../src/index.ts'
import { formatListenAddress } from '../config/listen-address.ts'
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
  let place = 'Serving'
  let tunnelWords = ''
  const status = () => `STATUS=${place}${tunnelWords}`
  let watchdog: Watchdog | undefined
  const intervalMs = findWatchdogIntervalMs(env, pid)
  return {
    started(listener) {
      place = `Serving on ${formatListenAddress(listener.address)}`
      void notifier.send('READY=1', status())
      if (intervalMs === undefined) return
      const isAlive = (timeoutMs: number) => isAnswering(listener.address, timeoutMs)
      watchdog = startWatchdog({ intervalMs, isAlive, tell: () => notifier.send('WATCHDOG=1'), after, log })
    },
    tunnel({ state, hostname, connections, reason }) {
      // Where there is no tunnel there is nothing to say of it.
      if (state === 'off') return
      const words = state === 'connected' ? `connected as ${hostname ?? 'a name not known yet'}, ${connections} connections` : `${state}: ${reason}`
      if (`; tunnel ${words}` === tunnelWords) return
      tunnelWords = `; tunnel ${words}`
      void notifier.send(status())
    },
    reloading: () => void notifier.send('RELOADING=1'),
    reloaded: () => void notifier.send('READY=1', status()),
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
