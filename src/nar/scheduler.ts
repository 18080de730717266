/**
 * The packer's scheduler: jobs that can go on take turns, round robin. A turn is bounded by the job (bytes and a deadline), a round here; between rounds the
 * event loop runs, so that new jobs and freed slots come in and what was packed goes out.
 */

/** again: it can go on at once. wait: something will wake it. over: it is finished. */
export type StepResult = 'again' | 'wait' | 'over'

export interface Job {
  /** Works until about `deadline` (of `performance.now()`) or `turnBytes`. Never throws. */
  turn(deadline: number): StepResult
  /** Gives up and frees everything. */
  drop(): void
}

/** What a job reads, or writes, in one turn at most. */
export const turnBytes = 512 * 1024
const turnMs = 2
const roundMs = 4
/** The bytes that one message to the answering thread stands for: it writes them to sockets in one go. */
const roundBytes = 512 * 1024

export class Scheduler {
  /** Jobs that have not had a turn: most are small NARs that need no second one. They alternate with the others. */
  readonly #fresh: Job[] = []
  readonly #ring: Job[] = []
  readonly #queued = new Set<Job>()
  #isFreshNext = true
  #isScheduled = false
  #bytes = 0

  /** Gives a new job its first turn soon. */
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

  /** Told by jobs what they have done in their turn. */
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
