/**
 * Authentication, and the access that a route wants (access-rules.ts). Every request to the public listener passes here
 * once, before it is routed. Without valid credentials, existing, missing and malformed paths all get the same 401.
 */
import type { Reply } from '../reply.ts'
import type { HotTarget } from '../target.ts'
import type { AccessRules, Rule } from './access-rules.ts'
import { createLoginPacer } from './login-pacer.ts'
import type { Authentication, Authenticator } from './strategies.ts'
import { type Access, anyone, type Identity, mayDo } from './user.ts'
import type { Verifier } from './verifier.ts'

export interface Door {
  /**
   * True when the request is allowed; otherwise it was answered. `target`: the request's, if it is a hot one with GET or
   * HEAD. Rejects only because of a bug.
   */
  admit(reply: Reply, target: HotTarget | undefined): boolean | Promise<boolean>
  /**
   * Whether a request that was admitted would be so now, for replies that last: users may have been removed or changed.
   * A visitor that was authenticated in front of this cache is not checked again.
   */
  stillAdmits(reply: Reply): boolean
}

/**
 * Requests of one connection that may wait for a login. Cache clients do not send a second request before the first
 * answer; password guessers send thousands.
 */
const maxWaitingPerConnection = 16

export function createDoor(verifier: Verifier, authenticator: Authenticator, rules: AccessRules): Door {
  const pacer = createLoginPacer(setImmediate)
  const queues = new WeakMap<object, { last: Promise<unknown>; length: number }>()

  /**
   * Checks the logins of a connection one after another: pipelined requests are not checked faster than requests that
   * wait for their answers.
   */
  async function authenticateInOrder(reply: Reply, rule: Rule): Promise<boolean> {
    const { request } = reply
    const queue = queues.get(request.socket) ?? { last: Promise.resolve(), length: 0 }
    queues.set(request.socket, queue)
    if (queue.length >= maxWaitingPerConnection) {
      breakWithoutStackTraces(reply)
      return false
    }
    queue.length++
    const login = queue.last.then(() => authenticate(reply, rule))
    queue.last = login.catch(() => {})
    try {
      return await login
    } finally {
      queue.length--
    }
  }

  async function authenticate(reply: Reply, rule: Rule): Promise<boolean> {
    const { request } = reply
    // Requests that are left over from a closed connection are dropped at once.
    if (!request.socket.destroyed) await pacer.next()
    if (request.socket.destroyed) return false
    const identity = verifier.recall(request.headers.authorization)
    if (identity !== undefined) return admitIdentity(reply, rule, identity)
    return conclude(reply, rule, await authenticator.authenticate(request, rule.forVisitors === true))
  }

  return {
    admit(reply, target) {
      const { request } = reply
      const rule = rules.ruleOf(request.method!, request.url!, target)
      const identity = verifier.recall(request.headers.authorization)
      if (rule.forStrangers) {
        reply.identity = identity
        return true
      }
      return identity === undefined ? authenticateInOrder(reply, rule) : admitIdentity(reply, rule, identity)
    },

    stillAdmits(reply) {
      const { headers, method, url } = reply.request
      const identity = verifier.recall(headers.authorization)
      if (identity === undefined) return headers.authorization === undefined && reply.identity !== anyone
      reply.identity = identity
      return mayDo(identity, rules.ruleOf(method!, url!).access)
    },
  }
}

/**
 * Node creates an error for each request that it has read from this connection, about 400 of them. Without stack traces
 * that takes a third of the time.
 */
function breakWithoutStackTraces(reply: Reply): void {
  const limit = Error.stackTraceLimit
  reply.request.socket
    .prependListener('close', () => {
      Error.stackTraceLimit = 0
    })
    .on('close', () => {
      Error.stackTraceLimit = limit
    })
  reply.break()
}

function conclude(reply: Reply, rule: Rule, authentication: Authentication): boolean {
  switch (authentication.kind) {
    case 'known':
      return admitIdentity(reply, rule, authentication.identity)
    case 'slow-down':
      reply.postpone(authentication.retryAfterSeconds, 429)
      return false
    case 'unknown':
      reply.attemptedUser = authentication.name
      reply.refuse(401, ['WWW-Authenticate', authentication.challenge])
      return false
  }
}

function admitIdentity(reply: Reply, { access }: Rule, identity: Identity): boolean {
  reply.identity = identity
  if (mayDo(identity, access)) return true
  const text = refusalText(identity, access)
  if (access[0] === 'push') reply.noteRefused(text)
  reply.refuse(403, [], text)
  return false
}

/** Nix shows this to the user who pushes. It does not reveal what the cache contains. */
function refusalText({ name, access: has }: Identity, wanted: readonly Access[]): string {
  const may = [...has].join(' and ') || 'nothing'
  return `User ${name ?? 'anonymous'} may ${may}, not ${wanted[0] ?? 'administer'}`
}
