/**
 * The public hostnames of a tunnel:
 * `[{"hostname":"cache.example.org","service":"http://127.0.0.1:8080"},{"service":"http_status:404"}]`. cloudflared
 * uses the first rule that matches, and requires that the last rule matches everything (ingress/ingress.go). Other rules
 * are kept unchanged.
 */
import type { IngressRule, TunnelConfiguration } from './api-types.ts'

const catchAll = { service: 'http_status:404' } as const

export interface IngressChange {
  readonly rules: readonly IngressRule[]
  /** The previous service of our host name; `undefined` if it had none. */
  readonly before: string | undefined
  readonly isChanged: boolean
}

/** The rules with one for `hostname`, before any other rule that matches its requests. */
export function withHostname(rules: readonly IngressRule[], hostname: string, service: string): IngressChange {
  const index = findOwn(rules, hostname)
  const own = rules[index]
  if (own?.service === service && findFirstFor(rules, hostname) === index && endsWithCatchAll(rules))
    return { rules, before: service, isChanged: false }
  const others = rules.filter((_, position) => position !== index)
  const first = findFirstFor(others, hostname)
  const place = first < 0 ? others.length : first
  const changed = [...others.slice(0, place), { ...own, hostname, service }, ...others.slice(place)]
  return { rules: endsWithCatchAll(changed) ? changed : [...changed, catchAll], before: own?.service, isChanged: true }
}

/** Without the rule for `hostname`. */
export function withoutHostname(rules: readonly IngressRule[], hostname: string): readonly IngressRule[] {
  const index = findOwn(rules, hostname)
  return rules.filter((_, position) => position !== index)
}

/** The service for `hostname`; `undefined` if it has no rule. */
export function findService(rules: readonly IngressRule[], hostname: string): string | undefined {
  return rules[findOwn(rules, hostname)]?.service
}

export function listOtherHostnames(rules: readonly IngressRule[], hostname: string): string[] {
  const names = rules.flatMap((rule) => (rule.hostname ? [rule.hostname.toLowerCase()] : []))
  return [...new Set(names)].filter((name) => name !== hostname)
}

export const rulesOf = ({ ingress }: TunnelConfiguration): readonly IngressRule[] => ingress ?? []

function findOwn(rules: readonly IngressRule[], hostname: string): number {
  return rules.findIndex((rule) => rule.hostname?.toLowerCase() === hostname && !rule.path)
}

/** The first rule that matches all requests for `hostname`. */
function findFirstFor(rules: readonly IngressRule[], hostname: string): number {
  return rules.findIndex((rule) => !rule.path && isFor(rule.hostname?.toLowerCase() ?? '', hostname))
}

function isFor(pattern: string, hostname: string): boolean {
  if (pattern === '' || pattern === '*' || pattern === hostname) return true
  return pattern.startsWith('*.') && hostname.endsWith(pattern.slice(1))
}

function endsWithCatchAll(rules: readonly IngressRule[]): boolean {
  const last = rules.at(-1)
  return last !== undefined && !last.path && (last.hostname ?? '').replace('*', '') === ''
}
