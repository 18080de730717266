/**
 * What a service of Type=notify tells systemd in the course of its life: ready, reloading, the tunnel's state, alive,
 * stopping. Outside of systemd nothing is told, and nothing costs anything.
 *
 *   begin -> READY=1, STATUS=…, WATCHDOG=1 every half WatchdogSec;  reload -> RELOADING=1 … READY=1;  beginStop ->
 * STOPPING=1
 */
import { type Clock, type Log, systemClock } from '../../src/index.ts'
import { formatListenAddress, type ListenAddress } from '../config/listen-address.ts'
import type { Environment } from '../machine.ts'
import { formatTunnelState } from '../operator/tunnel-states.ts'
import { publicUrlOf, type TunnelStatus } from '../tunnel/tunnel.ts'
import { findNotifier, type Notifier } from './notify.ts'
import { findWatchdogIntervalMs, isAnswering, startWatchdog, type Watchdog } from './watchdog.ts'

export interface ServiceManager {
  /** Asks the listener, then says that it is ready; from now on the watchdog is answered. */
  begin(address: ListenAddress): Promise<void>
  /** For `systemctl status`, as soon as it has begun. */
  tellTunnel(status: TunnelStatus): void
  /** Tells that a reload is under way, and when it is over, however it ended. */
  reload(work: () => Promise<void>): Promise<void>
  /** Before the listener closes. */
  beginStop(): void
}

export interface ServiceManagerParts {
  readonly env: Environment
  readonly pid: number
  readonly log: Log
  /** CLOCK_MONOTONIC in microseconds. Only Type=notify-reload asks for it; without it nothing is said. */
  readonly monotonicMicros?: (() => bigint) | undefined
  readonly after?: Clock['after'] | undefined
}

/** A listener on this machine answers in milliseconds. */
const firstAnswerMs = 30_000

/** @throws nothing: what cannot be told is in the log. */
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
      // Not ready then; systemd's TimeoutStartSec decides.
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
      // Of several at once the first begins and the last ends.
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
      void notifier.send('STOPPING=1', 'STATUS=Stopping: requests under way may finish')
      board.end()
    },
  }
}

const outsideOfSystemd: ServiceManager = { async begin() {}, tellTunnel() {}, reload: (work) => work(), beginStop() {} }

/** The line of `systemctl status`. Of many changes at once the last is told. */
function createBoard(notifier: Notifier) {
  let address: ListenAddress | undefined
  let tunnel: TunnelStatus | undefined
  let isUnderWay = false
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
    if (isUnderWay) return
    isUnderWay = true
    while (address !== undefined && board.text !== told) {
      told = board.text
      await notifier.send(`STATUS=${told}`)
    }
    isUnderWay = false
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
