/**
 * The watchdog of sd_watchdog_enabled(3): systemd ends a process that has not said `WATCHDOG=1` for $WATCHDOG_USEC
 * microseconds. It is said every half of that time, and only after our own listener has answered a real request: a
 * program that merely has a timer left serves nobody.
 */
import { connect } from 'node:net'

import type { Clock, Log } from '../../src/index.ts'
import { systemCodeOf } from '../complaint.ts'
import type { ListenAddress } from '../config/listen-address.ts'
import type { Environment } from '../machine.ts'
import { isListenerAbsent } from '../server/connect-errors.ts'

/** Half of the time that systemd grants; `undefined` where it watches nobody, or another process. */
export function findWatchdogIntervalMs(
  { WATCHDOG_USEC: usec, WATCHDOG_PID: watched }: Environment,
  pid: number,
): number | undefined {
  if (usec === undefined || !/^[1-9]\d{0,14}$/.test(usec)) return undefined
  if (watched !== undefined && watched !== '' && watched !== String(pid)) return undefined
  return Math.max(1, Math.floor(Number(usec) / 2000))
}

/**
 * Without a Host, which HTTP/1.1 demands: answered with 400 by the server itself, so that no client is counted, no
 * login refused and nothing logged.
 */
const question = 'GET /nix-cache-info HTTP/1.1\r\nConnection: close\r\n\r\n'

/**
 * True when the listener answers. A connection that is closed is an answer too: that is what a server at its limit of
 * connections does, and a server whose event loop stands still cannot. (The kernel alone accepts connections, and says
 * nothing.)
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
    socket.write(question)
  })
}

export interface WatchdogParts {
  readonly intervalMs: number
  /** Asked anew each time. */
  readonly isAlive: (timeoutMs: number) => Promise<boolean>
  readonly tell: () => Promise<void>
  readonly after: Clock['after']
  readonly log: Log
}

export interface Watchdog {
  /** Goes on without asking: the listener has been closed on purpose. */
  stopAsking(): void
  stop(): void
}

/** The first time at once. */
export function startWatchdog({ intervalMs, isAlive, tell, after, log }: WatchdogParts): Watchdog {
  let isAsking = true
  let isStopped = false
  let cancel = () => {}

  async function look(): Promise<void> {
    cancel = after(intervalMs, next)
    // Answered late is answered: the next round has begun by then, and has not overtaken it.
    if (!isAsking || (await isAlive(intervalMs))) return isStopped ? undefined : await tell()
    if (isAsking && !isStopped)
      log.error(
        { seconds: intervalMs / 1000 },
        'The listener does not answer: unless it does soon, systemd ends and restarts Burrow',
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
