/**
 * A running connector under observation: `/ready` is asked every few seconds, and at once when a line of its log makes
 * that worth it. Answers and complaints become a judgement; when it is hopeless (it hangs, or the edge refuses the
 * login and nothing is connected) it is given up.
 */

import { type EndDiagnosis, explainProblem } from '../explain/connector-problems.ts'
import { explainHang, explainSleep } from '../explain/end-diagnosis.ts'
import { type Facts, type Judgement, judge, noFacts } from '../explain/judgement.ts'
import type { ConnectorProblem, News } from '../explain/news.ts'
import type { TunnelSettings } from '../settings.ts'
import type { TunnelClock } from '../tunnel-clock.ts'
import { watchDrain } from './drain.ts'
import { createMetricsClient, type MetricsClient } from './metrics-client.ts'
import { NamedTimers } from './named-timers.ts'
import { createPolling, type Polling } from './polling.ts'
import { askHostname, askLinks, askReadiness } from './questions.ts'
import { type LoopbackAddress, parseLoopbackAddress } from './readiness.ts'

/** While something is about to change, and while nothing is. */
const eagerMs = 1_000
const calmMs = 5_000
/** cloudflared logs a connection before it counts it: after news the next few questions come soon. */
const eagerQuestions = 3
/** One of several that was lost is dialled again within 20 s. */
const shortMs = 30_000
/** With name servers that never answer, cloudflared opens its metrics listener after 30 s and gives up after 40. */
const firstAnswerMs = 90_000
const silenceMs = 30_000
/**
 * With all connections lost, cloudflared sleeps a random time, up to 20 s, before it dials; a fresh one is there in 1
 * to 3. While it dials it is left alone: it knows the edge's addresses, and a fresh one would have to look them up.
 */
const sleepMs = 2_000
/** Connected for so long, it counts as recovered. */
const stableMs = 60_000

export interface Observation extends Judgement {
  readonly connections: number
  readonly connectorId: string | undefined
  readonly tunnelId: string | undefined
  readonly hostname: string | undefined
  readonly metricsUrl: string | undefined
}

export interface WatchParts {
  readonly settings: TunnelSettings
  readonly clock: TunnelClock
  /** Its metrics address, if known in advance; otherwise it is read from its log. */
  readonly metrics: LoopbackAddress | undefined
  onObservation(observation: Observation): void
  /** It has read its secret: it has come as far as listening. */
  onAlive(): void
  onStable(): void
  /** Once, and nothing after it. */
  onHopeless(diagnosis: EndDiagnosis): void
}

export class ConnectorWatch {
  readonly #parts: WatchParts
  readonly #polling: Polling
  #metrics: MetricsClient | undefined
  #facts = noFacts
  #ids: Pick<Observation, 'connectorId' | 'tunnelId' | 'hostname'> = {
    connectorId: undefined,
    tunnelId: undefined,
    hostname: undefined,
  }
  /** A refused login of which it is not known yet whether connections are left that live without it. */
  #undecided: ConnectorProblem | undefined
  #isListening = false
  #hasAnswered = false
  /** By a line of its log, and not yet by an answer. */
  #hasRegistered = false
  /** By either; the connection may have been lost again before it was asked. */
  #wasConnected = false
  #eager = 0
  #wantsHostname = true
  #isOver = false
  readonly #timers = new NamedTimers<'silence' | 'short' | 'stable' | 'sleep' | 'drain'>()

  constructor(parts: WatchParts) {
    this.#parts = parts
    this.#polling = createPolling(parts.clock, () => this.#ask())
    this.#waitForAnswer(firstAnswerMs)
    if (parts.metrics === undefined) return
    this.#metrics = createMetricsClient(parts.metrics, parts.clock)
    this.#polling.soon()
  }

  get connections(): number {
    return this.#facts.connections
  }

  /** The last since it was last connected. */
  get problem(): ConnectorProblem | undefined {
    return this.#facts.problem
  }

  hear(news: News): void {
    if (this.#isOver) return
    if (news.kind === 'metrics') this.#learnAddress(news.address)
    else if (news.kind === 'tunnel-id') this.#ids = { ...this.#ids, tunnelId: news.tunnelId }
    else if (news.kind === 'registered') {
      this.#hasRegistered = true
      this.#wasConnected = true
      this.#timers.cancel('sleep')
      this.#learn({ problem: undefined, complaints: 0, refusedLogin: undefined })
    } else if (news.kind === 'new-config') this.#wantsHostname = true
    else if (news.kind !== 'moved' && news.kind !== 'updated' && news.kind !== 'signalled') this.#takeProblem(news)
    this.#eager = eagerQuestions
    if (this.#metrics !== undefined) this.#polling.soon()
  }

  /** After it was asked to stop: no more observations, only a check whether it still has connections. */
  drain(onEmpty: () => void): void {
    const wasGivenUp = this.#isOver
    this.#isOver = true
    this.#polling.stop()
    this.#timers.cancelAll()
    const isIdle = this.#facts.connections === 0 && !this.#hasRegistered
    if (!wasGivenUp)
      this.#timers.start('drain', () =>
        watchDrain({ clock: this.#parts.clock, client: this.#metrics, isIdle, onEmpty }),
      )
  }

  /** No more questions, no more timers, no more observations. */
  stop(): void {
    this.#isOver = true
    this.#polling.stop()
    this.#metrics?.close()
    this.#timers.cancelAll()
  }

  #takeProblem(problem: ConnectorProblem): void {
    if (problem.kind === 'unauthorized') this.#undecided = problem
    const known = this.#facts.problem
    this.#learn({ problem: isEchoOf(known, problem) ? known : problem, complaints: this.#facts.complaints + 1 })
  }

  #learnAddress(text: string): void {
    const address = parseLoopbackAddress(text)
    if (this.#isListening || address === undefined) return
    this.#metrics ??= createMetricsClient(address, this.#parts.clock)
    this.#isListening = true
    this.#parts.onAlive()
    this.#report()
  }

  /** @returns when to ask again */
  async #ask(): Promise<number> {
    const client = this.#metrics
    const readiness = client && (await askReadiness(client))
    // Before the connection is reported, so that "connected" comes with the hostname.
    if (client !== undefined && readiness !== undefined && readiness.connections > 0 && this.#wantsHostname)
      await this.#learnHostname(client)
    const isAway = client !== undefined && readiness?.connections === 0 && this.#wasConnected
    const links = isAway ? await askLinks(client) : undefined
    if (this.#isOver) return calmMs
    // Before its first answer it has not yet come as far as listening.
    if (readiness === undefined) this.#learn({ misses: this.#hasAnswered ? this.#facts.misses + 1 : 0 })
    else {
      this.#ids = { ...this.#ids, connectorId: readiness.connectorId ?? this.#ids.connectorId }
      this.#takeAnswer(readiness.connections, links)
    }
    this.#eager = Math.max(0, this.#eager - 1)
    const { connections, best, misses } = this.#facts
    return connections > 0 && connections >= best && misses === 0 && this.#eager === 0 ? calmMs : eagerMs
  }

  async #learnHostname(client: MetricsClient): Promise<void> {
    this.#wantsHostname = false
    const found = await askHostname(client, this.#parts.settings)
    if (found === undefined) {
      this.#wantsHostname = true
      return
    }
    this.#ids = { ...this.#ids, hostname: found.hostname }
    if (found.ingress !== undefined) this.#facts = { ...this.#facts, ingress: found.ingress }
  }

  /** @param links that serve or are dialled; asked for when all connections are lost */
  #takeAnswer(connections: number, links: number | undefined): void {
    const { onHopeless, onStable, onAlive, settings, clock } = this.#parts
    if (!this.#hasAnswered) onAlive()
    this.#hasAnswered = true
    this.#isListening = true
    this.#hasRegistered = false
    this.#wasConnected ||= connections > 0
    this.#waitForAnswer(silenceMs)
    const undecided = this.#undecided
    this.#undecided = undefined
    if (undecided !== undefined && connections === 0)
      return this.#giveUp(() => onHopeless(explainProblem(undecided, settings)))

    const best = Math.max(connections, this.#facts.best)
    const isFewer = connections > 0 && connections < best
    // After a loss the edge may have other rules for us.
    if (connections === 0) this.#wantsHostname = true
    this.#timers.runWhile('stable', connections > 0, () => clock.after(stableMs, onStable))
    this.#timers.runWhile('short', isFewer, () => clock.after(shortMs, () => this.#learn({ isShort: true })))
    // Another start of a quick tunnel would be given another name.
    this.#timers.runWhile('sleep', links === 0 && settings.mode !== 'quick', () =>
      clock.after(sleepMs, () => this.#giveUp(() => onHopeless(explainSleep()))),
    )
    const refusal = undecided === undefined ? {} : { refusedLogin: undecided }
    this.#learn({ connections, best, misses: 0, isShort: this.#facts.isShort && isFewer, ...refusal })
  }

  #waitForAnswer(ms: number): void {
    const { clock, settings, onHopeless } = this.#parts
    this.#timers.cancel('silence')
    this.#timers.start('silence', () =>
      clock.after(ms, () =>
        this.#giveUp(() => onHopeless(explainHang(this.#hasAnswered, ms, this.#undecided ?? this.problem, settings))),
      ),
    )
  }

  #giveUp(report: () => void): void {
    this.stop()
    report()
  }

  #learn(news: Partial<Facts>): void {
    this.#facts = { ...this.#facts, ...news }
    this.#report()
  }

  #report(): void {
    if (this.#isOver) return
    const { settings, onObservation } = this.#parts
    onObservation({
      ...judge(this.#facts, settings),
      ...this.#ids,
      connections: this.#facts.connections,
      metricsUrl: this.#isListening ? this.#metrics?.url : undefined,
    })
  }
}

/** A line that only repeats the problem already known, with less detail. */
function isEchoOf(known: ConnectorProblem | undefined, problem: ConnectorProblem): boolean {
  return (
    // Of one refusal the first line holds the service's answer, the second only what cloudflared made of it.
    (problem.kind === 'quick-refused' && known?.kind === problem.kind) ||
    // After a refusal the edge closes: that is no further cause.
    (problem.kind === 'closed' && (known?.kind === 'refused' || known?.kind === 'unauthorized'))
  )
}
