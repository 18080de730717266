/**
 * Authentication and access rules. Every request to the public listener passes here once, before it is routed. Without
 * valid credentials, existing, missing and malformed paths all get the same 401.
 */
import { assets } from '../pages/assets.ts'
import type { Reply } from '../reply.ts'
import type { HotTarget } from '../target.ts'
import { createLoginPacer } from './login-pacer.ts'
import type { Authentication, Authenticator } from './strategies.ts'
import { type Access, anyone, type Identity, mayDo } from './user.ts'
import type { Verifier } from './verifier.ts'

interface Rule {
  readonly methods: RegExp
  /** Compared with the target without its query. */
  readonly path: RegExp
  /** One of these is enough. `admin` is always enough. */
  readonly access: readonly Access[]
  /** Visitors that were authenticated in front of this cache (Cloudflare Access) need no password. */
  readonly forVisitors?: true
  /** Everybody, without a login. Nothing behind such a rule depends on what the cache contains. */
  readonly forStrangers?: true
}

const read = /^(?:GET|HEAD)$/
const any = /./

/**
 * The first rule that matches applies. Paths are compared as they were sent: a path that is encoded differently matches
 * the last rules, which are at least as strict.
 */
const openRules: readonly Rule[] = [
  // Error pages need them too.
  {
    methods: read,
    path: new RegExp(`^(?:${assets.map(({ path }) => path.replaceAll('.', '\\.')).join('|')})$`),
    access: [],
    forStrangers: true,
  },
]

/** The token of an invitation is its login (routes/join.ts). */
const joinRules: readonly Rule[] = [
  {
    methods: /^(?:GET|HEAD|POST)$/,
    path: /^\/join\/[^/]+(?:\/client\.mjs)?$/,
    access: [],
    forStrangers: true,
  },
]

const pushRules: readonly Rule[] = [
  // What a client reads before it pushes. Downloading NARs requires pull access.
  { methods: read, path: /^\/[0-9a-z]{32}\.narinfo$/, access: ['pull', 'push'] },
  { methods: /^HEAD$/, path: /^\/nar\//, access: ['pull', 'push'] },
  { methods: /^GET$/, path: /^\/nar\//, access: ['pull'] },
  { methods: read, path: /^\/nix-cache-info$/, access: ['pull', 'push'] },
  { methods: read, path: /^\/v1\/(?:version|public-key|client\.mjs)$/, access: ['pull', 'push'] },
  { methods: /^POST$/, path: /^\/v1\/closure$/, access: ['pull'] },
  { methods: any, path: /^\/v1\/forget$/, access: [] },
  { methods: any, path: /^\/v1\/(?:push|pins)(?:\/|$)/, access: ['push'] },
  { methods: /^(?:PUT|POST|DELETE)$/, path: any, access: ['push'] },
]

/** Before the rules for pushes, since pages with forms take POST. */
const pageRules: readonly Rule[] = [
  { methods: read, path: /^\/$/, access: ['pull'], forVisitors: true },
  { methods: /^(?:GET|HEAD|POST)$/, path: /^\/users(?:\/|$)/, access: [] },
  { methods: read, path: /^\/usage$/, access: ['pull', 'push'], forVisitors: true },
  { methods: read, path: /^\/(?:search|status|path)(?:\/|$)/, access: ['pull'], forVisitors: true },
]

const pullRules: readonly Rule[] = [
  // For browsers.
  { methods: read, path: /^\/[^/]*\.ls$/, access: ['pull'], forVisitors: true },
  { methods: read, path: /^\/log\//, access: ['pull'], forVisitors: true },
  { methods: any, path: any, access: ['pull'] },
]

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

export interface DoorOptions {
  /** False without a depot. Other methods than GET and HEAD are then refused as in any read-only cache. */
  readonly takesPushes: boolean
  readonly hasInvitations: boolean
}

export function createDoor(
  verifier: Verifier,
  authenticator: Authenticator,
  { takesPushes, hasInvitations }: DoorOptions,
): Door {
  const rules = [
    ...openRules,
    ...(hasInvitations ? joinRules : []),
    ...pageRules,
    ...(takesPushes ? pushRules : []),
    ...pullRules,
  ]
  const hotRuleOf = createHotRules(rules)
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
      const rule =
        target === undefined ? ruleOf(rules, request.method!, request.url!) : hotRuleOf(target, request.method!)
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
      return mayDo(identity, ruleOf(rules, method!, url!).access)
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

/** All hot targets of one route and method match the same rule, so it is found once. */
function createHotRules(rules: readonly Rule[]): (target: HotTarget, method: string) => Rule {
  const find = (path: string) => ({ get: ruleOf(rules, 'GET', path), head: ruleOf(rules, 'HEAD', path) })
  const hashPart = '0'.repeat(32)
  const hotRules = { narinfo: find(`/${hashPart}.narinfo`), nar: find(`/nar/${hashPart}-${'0'.repeat(52)}.nar`) }
  return ({ route }, method) => hotRules[route][method === 'GET' ? 'get' : 'head']
}

function ruleOf(rules: readonly Rule[], method: string, url: string): Rule {
  const end = url.indexOf('?')
  const path = end === -1 ? url : url.slice(0, end)
  return rules.find((rule) => rule.methods.test(method) && rule.path.test(path))!
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
