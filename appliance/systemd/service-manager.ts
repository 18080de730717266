/**
 * The messages of a Type=notify service to systemd: ready, reloading, the tunnel's state, watchdog, stopping. Does
 * nothing if Burrow was not started by systemd.
 *
 *   begin      READY=1, STATUS=…, WATCHDOG=1 twice per WatchdogSec
 *   reload     RELOADING=1 … READY=1
 *   beginStop  STOPPING=1
 */
import { type Clock, type Log, systemClock } from '../../src/index.ts'
import { formatListenAddress, type ListenAddress } from '../config/listen-address.ts'
import type { Environment } from '../machine.ts'
import { formatTunnelState } from '../operator/tunnel-states.ts'
import { publicUrlOf, type TunnelStatus } from '../tunnel/tunnel.ts'
import { findNotifier, type Notifier } from './notify.ts'
import { findWatchdogIntervalMs, isAnswering, startWatchdog, type Watchdog } from './watchdog.ts'

export interface ServiceManager {
  /** Checks that the listener answers, reports ready, and starts to answer the watchdog. */
  begin(address: ListenAddress): Promise<void>
  /** For `systemctl status`, after `begin`. */
  tellTunnel(status: TunnelStatus): void
  /** Reports the start of a reload and its end, also if it failed. */
  reload(work: () => Promise<void>): Promise<void>
  /** Before the listener closes. */
  beginStop(): void
}

export interface ServiceManagerParts {
  readonly env: Environment
  readonly pid: number
  readonly log: Log
  /** CLOCK_MONOTONIC in microseconds, required by Type=notify-reload. Not sent if it is missing. */
  readonly monotonicMicros?: (() => bigint) | undefined
  readonly after?: Clock['after'] | undefined
}

/** A listener on this machine answers in milliseconds. */
const firstAnswerMs = 30_000

/** Never throws: failed messages are logged. */
export function createServiceManager({
  env,
  pid,
  log,
  monotonicMicros,
  after = systemClock.after,
}: ServiceManagerParts): ServiceManager {
  const notifier = findNotifier(env, log)
  if (notifier === undefined) return outsideOfSystemd
  const watchdogMs = findWatchdogIntervalMs(env, pid)
  const board = createBoard(notifier)
  let watchdog: Watchdog | undefined
  let isStopping = false
  let reloads = 0

  return {
    async begin(address) {
      // Not ready yet; systemd's TimeoutStartSec limits this.
      while (!isStopping && !(await isAnswering(address, firstAnswerMs))) {
        log.error(
          { listen: formatListenAddress(address) },
          'The listener does not answer: Burrow does not report itself ready to systemd',
        )
        await new Promise<void>((resolve) => void after(1000, resolve))
      }
      if (isStopping) return
      board.begin(address)
      const ready = notifier.send('READY=1', `STATUS=${board.text}`)
      if (watchdogMs !== undefined) {
        watchdog = startWatchdog({
          intervalMs: watchdogMs,
          isAlive: (timeoutMs) => isAnswering(address, timeoutMs),
          tell: () => notifier.send('WATCHDOG=1'),
          after,
          log,
        })
      }
      await ready
    },
    tellTunnel: (status) => board.tellTunnel(status),
    async reload(work) {
      // If reloads overlap, the first one reports the start and the last one the end.
      if (reloads++ === 0 && !isStopping) {
        void notifier.send(
          'RELOADING=1',
          ...(monotonicMicros === undefined ? [] : [`MONOTONIC_USEC=${monotonicMicros()}`]),
        )
      }
      try {
        await work()
      } finally {
        if (--reloads === 0 && !isStopping) void notifier.send('READY=1', `STATUS=${board.text}`)
      }
    },
    beginStop() {
      isStopping = true
      watchdog?.stopAsking()
      void notifier.send('STOPPING=1', 'STATUS=Stopping: running requests may finish')
      board.end()
    },
  }
}

const outsideOfSystemd: ServiceManager = { async begin() {}, tellTunnel() {}, reload: (work) => work(), beginStop() {} }

/** The line in `systemctl status`. If it changes faster than it can be sent, the last one is sent. */
function createBoard(notifier: Notifier) {
  let address: ListenAddress | undefined
  let tunnel: TunnelStatus | undefined
  let isSending = false
  let told = ''

  const board = {
    get text() {
      return address === undefined ? 'Starting' : formatStatusLine(address, tunnel)
    },
    begin(at: ListenAddress) {
      address = at
      told = board.text
    },
    tellTunnel(status: TunnelStatus) {
      tunnel = status
      void tell()
    },
    end() {
      address = undefined
    },
  }

  async function tell(): Promise<void> {
    if (isSending) return
    isSending = true
    while (address !== undefined && board.text !== told) {
      told = board.text
      await notifier.send(`STATUS=${told}`)
    }
    isSending = false
  }

  return board
}

/** `Serving on 127.0.0.1:8080; tunnel connected (4 connections): https://cache.example.org` */
export function formatStatusLine(address: ListenAddress, tunnel: TunnelStatus | undefined): string {
  const serving = `Serving on ${formatListenAddress(address)}`
  if (tunnel === undefined || (tunnel.state === 'off' && tunnel.mode === undefined)) return serving
  const what = tunnel.state === 'connected' ? publicUrlOf(tunnel) : tunnel.reason
  return `${serving}; tunnel ${formatTunnelState(tunnel)}${what === undefined ? '' : `: ${what}`}`
}
