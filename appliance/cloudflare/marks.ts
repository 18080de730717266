/**
 * How Burrow recognises what it created in an account, and constants of the Cloudflare API for it. A record has a
 * comment and a cache rule has a description; a tunnel has neither, and is only recognised by its id.
 */

/** At most 100 characters, the limit for comments on a free plan. */
export const recordComment = 'Made by "burrow tunnel setup"'

const ruleMark = '(made by "burrow tunnel setup")'

export const formatRuleDescription = (hostname: string) => `No edge cache for ${hostname} ${ruleMark}`

export const hasRuleMark = (description: string) => description.endsWith(ruleMark)

/**
 * Cache Rules: the phase whose entry point ruleset holds them (developers.cloudflare.com, "Create a cache rule via
 * API").
 */
export const cachePhase = 'http_request_cache_settings'

/** `hostname` is validated, so it contains no quote. */
export const formatRuleExpression = (hostname: string) => `(http.host eq "${hostname}")`

/** The target of the CNAME record. */
export const toTunnelTarget = (tunnelId: string) => `${tunnelId}.cfargotunnel.com`

/** In the format of the API. */
export const toRecord = (hostname: string, target: string) =>
  ({ type: 'CNAME', name: hostname, content: target, proxied: true, ttl: 1, comment: recordComment }) as const

/** In the format of the API. */
export const toRule = (hostname: string) =>
  ({
    action: 'set_cache_settings',
    action_parameters: { cache: false },
    description: formatRuleDescription(hostname),
    expression: formatRuleExpression(hostname),
    enabled: true,
  }) as const

export const toTunnelName = (hostname: string) => `burrow-${hostname.replaceAll('.', '-')}`

/** As the dashboard names them on the page for API tokens: scope, resource, level. */
export const permissions = {
  tunnel: 'Account > Cloudflare Tunnel: Edit',
  zone: 'Zone > Zone: Read',
  dns: 'Zone > DNS: Edit',
  rules: 'Zone > Cache Rules: Edit',
} as const

export type Permission = (typeof permissions)[keyof typeof permissions]

export const tokensPage = 'https://dash.cloudflare.com/profile/api-tokens'
