/**
 * The watchdog of sd_watchdog_enabled(3): systemd kills a process that has not sent `WATCHDOG=1` for $WATCHDOG_USEC
 * microseconds. It is sent twice in this time, and only after our own listener has answered a real request: a running
 * timer alone does not show that the program can serve.
 */
import { connect } from 'node:net'

import type { Clock, Log } from '../../src/index.ts'
import { systemCodeOf } from '../complaint.ts'
import type { ListenAddress } from '../config/listen-address.ts'
import type { Environment } from '../machine.ts'
import { isListenerAbsent } from '../server/connect-errors.ts'

/** Half of systemd's timeout; `undefined` if the watchdog is off or for another process. */
export function findWatchdogIntervalMs(
  { WATCHDOG_USEC: usec, WATCHDOG_PID: watched }: Environment,
  pid: number,
): number | undefined {
  if (usec === undefined || !/^[1-9]\d{0,14}$/.test(usec)) return undefined
  if (watched !== undefined && watched !== '' && watched !== String(pid)) return undefined
  return Math.max(1, Math.floor(Number(usec) / 2000))
}

/**
 * Without the Host header, which HTTP/1.1 requires: the server itself answers with 400, so that the request is not
 * counted, authenticated or logged.
 */
const probe = 'GET /nix-cache-info HTTP/1.1\r\nConnection: close\r\n\r\n'

/**
 * True if the listener answers. A closed connection also counts as an answer: a server at its connection limit does
 * this, but a server with a blocked event loop cannot. (In that case the kernel accepts the connection, but nothing is
 * sent.)
 */
export function isAnswering(address: ListenAddress, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(
      address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port },
    )
    const finish = (isAnswered: boolean) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(isAnswered)
    }
    const timer = setTimeout(() => finish(false), timeoutMs)
    // EACCES: our own socket is there, but its permissions have been changed, so clients cannot connect either.
    socket.on('error', (error) => {
      const code = systemCodeOf(error)
      finish(!isListenerAbsent(code) && code !== 'EACCES')
    })
    socket.once('data', () => finish(true))
    socket.once('end', () => finish(true))
    socket.write(probe)
  })
}

export interface WatchdogParts {
  readonly intervalMs: number
  /** Called in each round. */
  readonly isAlive: (timeoutMs: number) => Promise<boolean>
  readonly tell: () => Promise<void>
  readonly after: Clock['after']
  readonly log: Log
}

export interface Watchdog {
  /** Continues without checking, because the listener has been closed on purpose. */
  stopAsking(): void
  stop(): void
}

/** The first round starts immediately. */
export function startWatchdog({ intervalMs, isAlive, tell, after, log }: WatchdogParts): Watchdog {
  let isAsking = true
  let isStopped = false
  let cancel = () => {}

  async function look(): Promise<void> {
    cancel = after(intervalMs, next)
    // A late answer also counts: the next round has started by then, but cannot have finished earlier.
    if (!isAsking || (await isAlive(intervalMs))) return isStopped ? undefined : await tell()
    if (isAsking && !isStopped)
      log.error(
        { seconds: intervalMs / 1000 },
        'The listener does not answer: if it does not recover soon, systemd kills and restarts Burrow',
      )
  }

  const next = () => {
    look().catch((error: unknown) => log.error({ err: error }, 'The watchdog failed'))
  }

  next()
  return {
    stopAsking() {
      isAsking = false
    },
    stop() {
      isStopped = true
      cancel()
    },
  }
}
