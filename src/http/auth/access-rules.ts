/** Which access each route wants: the table of all routes that need a login, and of the few that do not. */
import { assets } from '../pages/assets.ts'
import type { HotTarget } from '../target.ts'
import type { Access } from './user.ts'

export interface Rule {
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

export interface AccessRules {
  /** `target`: the request's, if it is a hot one with GET or HEAD. `url`: path and query. */
  ruleOf(method: string, url: string, target?: HotTarget): Rule
}

export interface AccessOptions {
  /** False without a depot. Other methods than GET and HEAD are then refused as in any read-only cache. */
  readonly takesPushes: boolean
  readonly hasInvitations: boolean
}

/**
 * The first rule that matches applies. Paths are compared as they were sent: a path that is encoded differently matches
 * the last rules, which are at least as strict.
 */
export function createAccessRules({ takesPushes, hasInvitations }: AccessOptions): AccessRules {
  const rules = [
    ...openRules,
    ...(hasInvitations ? joinRules : []),
    ...pageRules,
    ...(takesPushes ? pushRules : []),
    ...pullRules,
  ]
  const hotRuleOf = createHotRules(rules)
  return {
    ruleOf: (method, url, target) => (target === undefined ? findRule(rules, method, url) : hotRuleOf(target, method)),
  }
}

/** All hot targets of one route and method match the same rule, so it is found once. */
function createHotRules(rules: readonly Rule[]): (target: HotTarget, method: string) => Rule {
  const find = (path: string) => ({ get: findRule(rules, 'GET', path), head: findRule(rules, 'HEAD', path) })
  const hashPart = '0'.repeat(32)
  const hotRules = { narinfo: find(`/${hashPart}.narinfo`), nar: find(`/nar/${hashPart}-${'0'.repeat(52)}.nar`) }
  return ({ route }, method) => hotRules[route][method === 'GET' ? 'get' : 'head']
}

function findRule(rules: readonly Rule[], method: string, url: string): Rule {
  const end = url.indexOf('?')
  const path = end === -1 ? url : url.slice(0, end)
  return rules.find((rule) => rule.methods.test(method) && rule.path.test(path))!
}
