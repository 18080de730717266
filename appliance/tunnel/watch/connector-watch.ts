/**
 * A running connector under observation: `/ready` is asked every few seconds, and at once when a line of its log makes
 * that worth it. Answers and complaints become a judgement; when it is hopeless (it hangs, or the edge refuses the
 * login and nothing is connected) it is given up.
 */

import { type EndDiagnosis, explainProblem } from '../explain/connector-problems.ts'
import { explainHang, explainSleep } from '../explain/end-diagnosis.ts'
import { type Facts, hostnameOf, type Judgement, judge } from '../explain/judgement.ts'
import type { ConnectorProblem, News } from '../explain/news.ts'
import type { TunnelSettings } from '../settings.ts'
import type { TunnelClock } from '../tunnel-clock.ts'
import { watchDrain } from './drain.ts'
import { createMetricsClient, type MetricsClient } from './metrics-client.ts'
import { createPolling, type Polling } from './polling.ts'
import {
  type LoopbackAddress,
  metricsBytes,
  parseIngress,
  parseLinks,
  parseLoopbackAddress,
  parseQuickTunnel,
  parseReadiness,
} from './readiness.ts'

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
const readyBytes = 4_096
const configBytes = 1_048_576

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
  #metrics: { readonly client: MetricsClient; readonly url: string } | undefined
  #facts: Facts = {
    connections: 0,
    best: 0,
    isShort: false,
    misses: 0,
    problem: undefined,
    complaints: 0,
    refusedLogin: undefined,
    ingress: undefined,
  }
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
  readonly #timers: {
    silence?: () => void
    short?: () => void
    stable?: () => void
    sleep?: () => void
    drain?: () => void
  } = {}

  constructor(parts: WatchParts) {
    this.#parts = parts
    this.#polling = createPolling(parts.clock, () => this.#ask())
    this.#waitForAnswer(firstAnswerMs)
    if (parts.metrics === undefined) return
    this.#metrics = this.#connectTo(parts.metrics)
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
      this.#setTimer('sleep', false, () => () => {})
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
    for (const cancel of Object.values(this.#timers)) cancel()
    const isIdle = this.#facts.connections === 0 && !this.#hasRegistered
    if (!wasGivenUp)
      this.#timers.drain = watchDrain({ clock: this.#parts.clock, client: this.#metrics?.client, isIdle, onEmpty })
  }

  /** No more questions, no more timers, no more observations. */
  stop(): void {
    this.#isOver = true
    this.#polling.stop()
    this.#metrics?.client.close()
    for (const cancel of Object.values(this.#timers)) cancel()
  }

  #takeProblem(problem: ConnectorProblem): void {
    if (problem.kind === 'unauthorized') this.#undecided = problem
    const known = this.#facts.problem
    // Of one refusal the first line holds the service's answer, the second only what cloudflared made of it.
    const isEcho =
      (problem.kind === 'quick-refused' && known?.kind === problem.kind) ||
      // After a refusal the edge closes: that is no further cause.
      (problem.kind === 'closed' && (known?.kind === 'refused' || known?.kind === 'unauthorized'))
    this.#learn({ problem: isEcho ? known : problem, complaints: this.#facts.complaints + 1 })
  }

  #learnAddress(text: string): void {
    const address = parseLoopbackAddress(text)
    if (this.#isListening || address === undefined) return
    this.#metrics ??= this.#connectTo(address)
    this.#isListening = true
    this.#parts.onAlive()
    this.#report()
  }

  #connectTo(address: LoopbackAddress) {
    const url = `http://${address.host === '::1' ? '[::1]' : address.host}:${address.port}`
    return { client: createMetricsClient(address, this.#parts.clock), url }
  }

  /** @returns when to ask again */
  async #ask(): Promise<number> {
    const client = this.#metrics?.client
    const readiness = parseReadiness((await client?.read('/ready', readyBytes)) ?? '')
    // Before the connection is reported, so that "connected" comes with the hostname.
    if (client !== undefined && readiness !== undefined && readiness.connections > 0 && this.#wantsHostname)
      await this.#askForHostname(client)
    const isAway = client !== undefined && readiness?.connections === 0 && this.#wasConnected
    const links = isAway ? parseLinks((await client.read('/metrics', metricsBytes)) ?? '') : undefined
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

  async #askForHostname(client: MetricsClient): Promise<void> {
    const { mode, hostname: wanted } = this.#parts.settings
    this.#wantsHostname = false
    if (mode === 'quick') {
      const hostname = parseQuickTunnel((await client.read('/quicktunnel', readyBytes)) ?? '')
      if (hostname === undefined) this.#wantsHostname = true
      else this.#ids = { ...this.#ids, hostname }
    } else {
      const ingress = parseIngress((await client.read('/config', configBytes)) ?? '')
      if (ingress === undefined) this.#wantsHostname = true
      else {
        this.#ids = { ...this.#ids, hostname: wanted ?? hostnameOf(ingress) }
        this.#facts = { ...this.#facts, ingress }
      }
    }
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
    this.#setTimer('stable', connections > 0, () => clock.after(stableMs, onStable))
    this.#setTimer('short', isFewer, () => clock.after(shortMs, () => this.#learn({ isShort: true })))
    // Another start of a quick tunnel would be given another name.
    this.#setTimer('sleep', links === 0 && settings.mode !== 'quick', () =>
      clock.after(sleepMs, () => this.#giveUp(() => onHopeless(explainSleep()))),
    )
    const refusal = undecided === undefined ? {} : { refusedLogin: undecided }
    this.#learn({ connections, best, misses: 0, isShort: this.#facts.isShort && isFewer, ...refusal })
  }

  /** A timer that runs while a condition holds. */
  #setTimer(name: 'stable' | 'short' | 'sleep', isSo: boolean, start: () => () => void): void {
    if (isSo) this.#timers[name] ??= start()
    else {
      this.#timers[name]?.()
      delete this.#timers[name]
    }
  }

  #waitForAnswer(ms: number): void {
    const { clock, settings, onHopeless } = this.#parts
    this.#timers.silence?.()
    this.#timers.silence = clock.after(ms, () =>
      this.#giveUp(() => onHopeless(explainHang(this.#hasAnswered, ms, this.#undecided ?? this.problem, settings))),
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
