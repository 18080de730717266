/**
 * The packer's scheduler: runnable jobs run round robin. A job limits its own time slice (bytes and a deadline); this
 * class limits a round. Between rounds the event loop runs, so that new jobs and freed slots arrive and packed bytes
 * are sent.
 */

/** again: can continue immediately. wait: an event will wake it. over: finished. */
export type StepResult = 'again' | 'wait' | 'over'

export interface Job {
  /** Runs until about `deadline` (`performance.now()`) or `turnBytes`. Never throws. */
  turn(deadline: number): StepResult
  /** Cancels the job and frees all resources. */
  drop(): void
}

/** Maximum bytes that a job reads or writes per time slice. */
export const turnBytes = 512 * 1024
const turnMs = 2
const roundMs = 4
/** Maximum bytes per message to the main thread, which writes them to sockets in one go. */
const roundBytes = 512 * 1024

export class Scheduler {
  /** Jobs that have not run yet: most are small NARs that need a single time slice. They alternate with the others. */
  readonly #fresh: Job[] = []
  readonly #ring: Job[] = []
  readonly #queued = new Set<Job>()
  #isFreshNext = true
  #isScheduled = false
  #bytes = 0

  /** Queues a new job. */
  begin(job: Job): void {
    this.#queued.add(job)
    this.#fresh.push(job)
    this.#schedule()
  }

  wake(job: Job): void {
    if (this.#queued.has(job)) return
    this.#queued.add(job)
    this.#ring.push(job)
    this.#schedule()
  }

  /** Jobs report here how many bytes they processed. */
  charge(bytes: number): void {
    this.#bytes += bytes
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => this.#round())
  }

  #round(): void {
    this.#isScheduled = false
    this.#bytes = 0
    let now = performance.now()
    const end = now + roundMs
    for (let job = this.#next(); job; job = now < end && this.#bytes < roundBytes ? this.#next() : undefined) {
      if (job.turn(now + turnMs) === 'again') this.wake(job)
      now = performance.now()
    }
    if (this.#queued.size > 0) this.#schedule()
  }

  #next(): Job | undefined {
    const [first, second] = this.#isFreshNext ? [this.#fresh, this.#ring] : [this.#ring, this.#fresh]
    this.#isFreshNext = !this.#isFreshNext
    const job = first.shift() ?? second.shift()
    if (job) this.#queued.delete(job)
    return job
  }
}
