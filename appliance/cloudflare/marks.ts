/**
 * How that which Burrow makes in an account can be told from the rest, and the words of the Cloudflare API that belong
 * to it. A record carries a comment and a cache rule a description; a tunnel can carry neither, and is known by its id
 * alone.
 */

/** At most 100 characters: the limit of a comment on a free plan. */
export const recordComment = 'Made by "burrow tunnel setup"'

const ruleMark = '(made by "burrow tunnel setup")'

export const formatRuleDescription = (hostname: string) => `No edge cache for ${hostname} ${ruleMark}`

export const hasRuleMark = (description: string) => description.endsWith(ruleMark)

/**
 * Cache Rules: the phase whose entry point ruleset holds them (developers.cloudflare.com, "Create a cache rule via
 * API").
 */
export const cachePhase = 'http_request_cache_settings'

/** `hostname` is checked: it holds nothing that could end the string. */
export const formatRuleExpression = (hostname: string) => `(http.host eq "${hostname}")`

/** Where a public hostname's CNAME points. */
export const toTunnelTarget = (tunnelId: string) => `${tunnelId}.cfargotunnel.com`

export const toTunnelName = (hostname: string) => `burrow-${hostname.replaceAll('.', '-')}`

/** As the dashboard names them where API tokens are made: whose, of what, how much. */
export const permissions = {
  tunnel: 'Account > Cloudflare Tunnel: Edit',
  zone: 'Zone > Zone: Read',
  dns: 'Zone > DNS: Edit',
  rules: 'Zone > Cache Rules: Edit',
} as const

export type Permission = (typeof permissions)[keyof typeof permissions]

export const tokensPage = 'https://dash.cloudflare.com/profile/api-tokens'
