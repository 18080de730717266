/** A request and its reply as the observer sees them: who asked for what, when, and what was sent. */
import type { IncomingMessage, ServerResponse } from 'node:http'

import { clientAddressOf, rayOf } from './auth/client-address.ts'
import type { Identity } from './auth/user.ts'
import { loggableTarget } from './loggable-target.ts'
import type { Exchange, NarTally, PushTally, RouteName, ServedFrom } from './observer.ts'
import { receivedBytesOf } from './push/request-body.ts'

const maxAttemptedLength = 64
const maxRefusalLength = 300

/** Expensive values are computed only when read. */
export class ExchangeRecord implements Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  route: RouteName = 'other'
  identity: Identity | undefined
  storePath: string | undefined
  servedFrom: ServedFrom | undefined
  nar: NarTally | undefined
  missed: readonly string[] | undefined
  #attemptedUser: string | undefined
  /** Body bytes passed to the socket so far. */
  bytes = 0
  readonly #startedMs = performance.now()
  #endedMs = 0
  isComplete = false
  #registered = 0
  #refused = 0
  #refusal: string | undefined

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.request = request
    this.response = response
  }

  get method(): string {
    return this.request.method ?? ''
  }

  get target(): string {
    return loggableTarget(this.request.url ?? '')
  }

  get status(): number {
    return this.response.statusCode
  }

  get user(): string | undefined {
    return this.identity?.name
  }

  get isAdmitted(): boolean {
    return this.identity !== undefined
  }

  get attemptedUser(): string | undefined {
    return this.#attemptedUser
  }

  set attemptedUser(name: string | undefined) {
    this.#attemptedUser = name?.slice(0, maxAttemptedLength)
  }

  get push(): PushTally | undefined {
    if (this.route !== 'push' && this.#refused === 0) return undefined
    return {
      receivedBytes: receivedBytesOf(this.request),
      registered: this.#registered,
      refused: this.#refused,
      refusal: this.#refusal,
    }
  }

  /** Counts store paths that this request has made available. */
  noteRegistered(paths: number): void {
    this.#registered += paths
  }

  /** Counts a path that was refused. */
  noteRefused(reason: string): void {
    this.#refused++
    this.#refusal ??= reason.slice(0, maxRefusalLength)
  }

  get address(): string {
    return clientAddressOf(this.request)
  }

  get ray(): string | undefined {
    return rayOf(this.request)
  }

  get durationMs(): number {
    return this.#endedMs - this.#startedMs
  }

  /** Since the request's header was read. */
  get elapsedMs(): number {
    return performance.now() - this.#startedMs
  }

  /** Once, when the reply has ended. */
  protected end(isComplete: boolean): void {
    this.#endedMs = performance.now()
    this.isComplete = isComplete
  }
}
