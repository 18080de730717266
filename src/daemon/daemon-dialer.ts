/**
 * Connects to the daemon when asked to, but after a failure not again before a while has passed: twice as long with
 * each failure in a row. Says once when the daemon is lost and once when it is back.
 */

import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { type DaemonConnection, openDaemonConnection } from './daemon-connection.ts'

export interface DaemonDialerOptions {
  readonly socketPath: string
  readonly clock: Clock
  /** 0 (inclusive) to 1. */
  readonly random: () => number
  readonly log: Log
}

const connectTimeoutMs = 2000
const firstRetryMs = 1000
const lastRetryMs = 60_000

export class DaemonDialer {
  readonly #options: DaemonDialerOptions
  #failures = 0
  #retryAtMs = Number.NEGATIVE_INFINITY

  constructor(options: DaemonDialerOptions) {
    this.#options = options
  }

  /** False while it would be too early to try again. */
  get isReady(): boolean {
    return this.#options.clock.now() >= this.#retryAtMs
  }

  /** What is left of the wait. */
  get waitMs(): number {
    return Math.max(0, this.#retryAtMs - this.#options.clock.now())
  }

  /** True when the last attempt failed. */
  get hasFailed(): boolean {
    return this.#failures > 0
  }

  /** Undefined when there is no daemon to be had now; never rejects. */
  async connect(): Promise<DaemonConnection | undefined> {
    if (!this.isReady) return undefined
    const { socketPath, clock, log, random } = this.#options
    try {
      const connection = await openDaemonConnection({ socketPath, clock, timeoutMs: connectTimeoutMs })
      if (this.#failures > 0)
        log.info({ socket: socketPath }, 'The nix-daemon answers again: paths are protected from garbage collection')
      this.#failures = 0
      return connection
    } catch (error) {
      this.#failures++
      const wait = Math.min(firstRetryMs * 2 ** (this.#failures - 1), lastRetryMs)
      this.#retryAtMs = clock.now() + wait * (0.5 + random() / 2)
      const reason = (error as Error).message
      const message = `Cannot connect to nix-daemon at "${socketPath}": ${reason}; paths are served without protection from garbage collection`
      if (this.#failures === 1) log.warn({ socket: socketPath }, message)
      else log.debug({ socket: socketPath, failures: this.#failures }, message)
      return undefined
    }
  }
}
