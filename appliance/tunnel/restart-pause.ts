/** The pause between the end of a connector and the next attempt: how long it is, and what the status says meanwhile. */
import { type BackOff, createBackOff, type Pace, paces } from './back-off.ts'
import type { EndDiagnosis } from './explain/connector-problems.ts'
import type { TunnelSettings } from './settings.ts'
import type { StatusBoard } from './status-board.ts'
import type { TunnelClock } from './tunnel-clock.ts'

/** Searching PATH is cheap. */
const lookAgainMs = 30_000

/** What the status says when no connector runs. */
export const nothingRuns = { connections: 0, pid: undefined, metricsUrl: undefined, connectorId: undefined } as const

export class RestartPause {
  readonly #settings: TunnelSettings
  readonly #clock: TunnelClock
  readonly #board: StatusBoard
  readonly #backOffs: Readonly<Record<Pace, BackOff>>
  readonly #stopping: AbortSignal
  #wake: (() => void) | undefined

  constructor(settings: TunnelSettings, clock: TunnelClock, board: StatusBoard, stopping: AbortSignal) {
    this.#settings = settings
    this.#clock = clock
    this.#board = board
    this.#stopping = stopping
    const random = () => clock.random()
    this.#backOffs = {
      soon: createBackOff(paces.soon, random),
      network: createBackOff(paces.network, random),
      later: createBackOff(paces.later, random),
      rarely: createBackOff(paces.rarely, random),
    }
  }

  get isUnderWay(): boolean {
    return this.#wake !== undefined
  }

  /** Ends a pause that is under way. */
  end(): void {
    this.#wake?.()
  }

  resetBackOffs(): void {
    for (const backOff of Object.values(this.#backOffs)) backOff.reset()
  }

  /** Shows why and for how long, and resolves when it is time to try again. */
  async take({ state, reason, remedy }: EndDiagnosis, pace: Pace): Promise<void> {
    if (state === 'missing-binary' && this.#settings.isOptional) {
      this.#board.set({
        state: 'off',
        reason,
        remedy: 'run "burrow tunnel install" and start Burrow again, or set "tunnel" in the config',
        ...nothingRuns,
        nextAttempt: undefined,
      })
      return await this.#wait(undefined)
    }
    const ms = state === 'missing-binary' ? lookAgainMs : this.#backOffs[pace].next()
    const hostname = this.#settings.mode === 'quick' ? undefined : this.#board.status.hostname
    const lastError = state === 'missing-binary' ? this.#board.status.lastError : reason
    this.#board.set({
      state,
      reason,
      remedy,
      ...nothingRuns,
      hostname,
      lastError,
      nextAttempt: new Date(this.#clock.now() + ms),
    })
    await this.#wait(ms)
  }

  /** Until the time is over or `end` is called. @param ms `undefined`: no limit */
  #wait(ms: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const cancel = ms === undefined ? () => {} : this.#clock.after(ms, () => this.#wake?.())
      this.#wake = () => {
        this.#wake = undefined
        cancel()
        this.#board.set({ nextAttempt: undefined })
        resolve()
      }
      if (this.#stopping.aborted) this.#wake()
    })
  }
}
