/**
 * Who may do what: every request to the public listener passes here once, before anything looks at its path more
 * closely. Strangers get the same 401 for what is here, what is not, and what cannot be.
 */
import type { IncomingMessage } from 'node:http'

import type { Reply } from '../reply.ts'
import { createStrangerTurns } from './stranger-turns.ts'
import type { Authentication, Authenticator } from './strategies.ts'
import { type Access, type Identity, mayDo } from './user.ts'
import type { Verifier } from './verifier.ts'

interface Rule {
  readonly methods: RegExp
  readonly path: RegExp
  /** One of these is enough; `admin` always is. */
  readonly access: readonly Access[]
  /** People that something in front vouches for get in without a password. */
  readonly forVisitors?: true
}

const read = /^(?:GET|HEAD)$/
const any = /./

/**
 * The first rule that fits decides. Paths are compared as they were sent: what is written in another way falls to the
 * last rules, which ask for no less.
 */
const pushRules: readonly Rule[] = [
  // What a push needs to know before it begins; NARs themselves are for those who may pull.
  { methods: read, path: /^\/(?:nix-cache-info|[0-9a-z]{32}\.narinfo)$/, access: ['pull', 'push'] },
  { methods: /^HEAD$/, path: /^\/nar\//, access: ['pull', 'push'] },
  { methods: read, path: /^\/v1\/(?:version|public-key|client\.mjs)$/, access: ['pull', 'push'] },
  { methods: /^POST$/, path: /^\/v1\/closure$/, access: ['pull'] },
  { methods: any, path: /^\/v1\/forget$/, access: [] },
  { methods: any, path: /^\/v1\/(?:push|pins)(?:\/|$)/, access: ['push'] },
  { methods: /^(?:PUT|POST|DELETE)$/, path: any, access: ['push'] },
]

const pullRules: readonly Rule[] = [
  // What people look at with a browser.
  { methods: read, path: /^\/(?:\?.*)?$/, access: ['pull'], forVisitors: true },
  { methods: read, path: /^\/[^/]*\.ls(?:\?.*)?$/, access: ['pull'], forVisitors: true },
  { methods: read, path: /^\/log\//, access: ['pull'], forVisitors: true },
  { methods: any, path: any, access: ['pull'] },
]

export interface Door {
  /** True when the request may go on, at once or later; else it was answered. Rejects only by a bug. */
  admit(reply: Reply): boolean | Promise<boolean>
}

/**
 * Requests of one connection that wait for a login. No client of a cache sends a second before it has the first answer;
 * a guesser sends thousands.
 */
const maxWaitingPerConnection = 16

/**
 * `takesPushes`: without a depot there is nothing to push to, and what is no reading is refused as in any other cache.
 */
export function createDoor(verifier: Verifier, authenticator: Authenticator, takesPushes: boolean): Door {
  const rules = takesPushes ? [...pushRules, ...pullRules] : pullRules
  const turns = createStrangerTurns(setImmediate)
  const lines = new WeakMap<object, { last: Promise<unknown>; length: number }>()

  /**
   * One login of a connection after another: what is sent in one go is checked no faster than what waits for its
   * answers.
   */
  async function authenticateInLine(reply: Reply, rule: Rule): Promise<boolean> {
    const { request } = reply
    const line = lines.get(request.socket) ?? { last: Promise.resolve(), length: 0 }
    lines.set(request.socket, line)
    if (line.length >= maxWaitingPerConnection) {
      endWithoutTraces(reply)
      return false
    }
    line.length++
    const before = line.last
    const mine = before.then(() => authenticate(reply, rule))
    line.last = mine.catch(() => {})
    try {
      return await mine
    } finally {
      line.length--
    }
  }

  async function authenticate(reply: Reply, rule: Rule): Promise<boolean> {
    const { request } = reply
    // What is left in the line of a connection that was ended takes no turns.
    if (!request.socket.destroyed) await turns.next()
    if (request.socket.destroyed) return false
    const identity = verifier.recall(request.headers.authorization)
    if (identity !== undefined) return admitIdentity(reply, rule, identity)
    return conclude(reply, rule, await authenticator.authenticate(request, rule.forVisitors === true))
  }

  return {
    admit(reply) {
      const { request } = reply
      const rule = ruleOf(rules, request)
      const identity = verifier.recall(request.headers.authorization)
      return identity === undefined ? authenticateInLine(reply, rule) : admitIdentity(reply, rule, identity)
    },
  }
}

/**
 * Node makes an error for each request that it has read of such a connection, some 400 of them: without their stacks
 * that takes a third of the time.
 */
function endWithoutTraces(reply: Reply): void {
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

function ruleOf(rules: readonly Rule[], { method = '', url = '' }: IncomingMessage): Rule {
  return rules.find((rule) => rule.methods.test(method) && rule.path.test(url))!
}

function conclude(reply: Reply, rule: Rule, authentication: Authentication): boolean {
  switch (authentication.kind) {
    case 'known':
      return admitIdentity(reply, rule, authentication.identity)
    case 'slow-down':
      reply.postpone(authentication.retryAfterSeconds, 429)
      return false
    case 'unknown':
      reply.claimedUser = authentication.name
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

/** Nix shows it to the person who pushes. It says nothing about what is here. */
function refusalText({ name, access: has }: Identity, wanted: readonly Access[]): string {
  const may = [...has].join(' and ') || 'nothing'
  return `User ${name ?? 'anonymous'} may ${may}, not ${wanted[0] ?? 'administer'}`
}
