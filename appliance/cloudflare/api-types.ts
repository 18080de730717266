/**
 * The parts of the Cloudflare API's replies that are used here, validated, and converted from the names in its
 * documentation (developers.cloudflare.com/api) to ours.
 */
import * as z from 'zod'

import { printable } from '../terminal/format.ts'

const id = z.string().min(1).max(128)

export const zoneSchema = z
  .looseObject({
    id,
    name: z.string(),
    status: z.string().default('active'),
    paused: z.boolean().default(false),
    account: z.looseObject({ id, name: z.string().default('') }),
  })
  .transform(({ id, name, status, paused, account }) => ({
    id,
    name: name.toLowerCase(),
    status,
    isPaused: paused,
    account: { id: account.id, name: printable(account.name, 100) },
  }))
export type Zone = z.output<typeof zoneSchema>

export const tunnelSchema = z
  .looseObject({
    id,
    name: z.string(),
    config_src: z.string().optional(),
    remote_config: z.boolean().optional(),
    status: z.string().default('unknown'),
    created_at: z.string().optional(),
    deleted_at: z.string().nullish(),
  })
  .transform((tunnel) => ({
    id: tunnel.id,
    name: tunnel.name,
    status: tunnel.status,
    isRemotelyManaged:
      tunnel.config_src === undefined ? tunnel.remote_config === true : tunnel.config_src === 'cloudflare',
    // Go's zero time stands for "never" in older answers.
    isDeleted: typeof tunnel.deleted_at === 'string' && !tunnel.deleted_at.startsWith('0001-'),
  }))
export type RemoteTunnel = z.output<typeof tunnelSchema>

/** One cloudflared, and its connections to the edge. Tunnel objects do not list them any more (since October 2026). */
export const connectorSchema = z
  .looseObject({
    id: z.string().max(128).default(''),
    version: z.string().default(''),
    config_version: z.number().int().nullish(),
    conns: z.array(z.unknown()).nullish(),
  })
  .transform(({ id, version, config_version, conns }) => ({
    id: printable(id, 40),
    version: printable(version, 40),
    configVersion: config_version ?? undefined,
    connections: conns?.length ?? 0,
  }))
export type RemoteConnector = z.output<typeof connectorSchema>

export const countConnections = (connectors: readonly RemoteConnector[]) =>
  connectors.reduce((sum, { connections }) => sum + connections, 0)

const ingressRule = z.looseObject({ hostname: z.string().nullish(), path: z.string().nullish(), service: z.string() })
/** Unchanged, with all keys, because it is sent back. */
export type IngressRule = z.output<typeof ingressRule>

export const configurationSchema = z
  .looseObject({
    version: z.number().int().nullish(),
    config: z.looseObject({ ingress: z.array(ingressRule).nullish() }).nullish(),
  })
  .transform(({ version, config }) => ({ version: version ?? undefined, config: config ?? {} }))
export type TunnelConfiguration = {
  readonly ingress?: readonly IngressRule[] | null | undefined
  readonly [key: string]: unknown
}
export interface VersionedConfiguration {
  /** Increases with each change; connectors report the version that they use. */
  readonly version: number | undefined
  readonly config: TunnelConfiguration
}

export const dnsRecordSchema = z
  .looseObject({
    id,
    type: z.string(),
    name: z.string(),
    content: z.string().default(''),
    proxied: z.boolean().default(false),
    comment: z.string().nullish(),
  })
  .transform(({ id, type, name, content, proxied, comment }) => ({
    id,
    type,
    name,
    content,
    isProxied: proxied,
    comment: comment ?? '',
  }))
export type DnsRecord = z.output<typeof dnsRecordSchema>

export const rulesetSchema = z
  .looseObject({
    id,
    rules: z
      .array(
        z.looseObject({
          id,
          action: z.string().default(''),
          action_parameters: z.looseObject({ cache: z.boolean().optional() }).optional(),
          description: z.string().default(''),
          expression: z.string().default(''),
          enabled: z.boolean().default(true),
        }),
      )
      .nullish(),
  })
  .transform(({ id, rules }) => ({
    id,
    rules: (rules ?? []).map((rule) => ({
      id: rule.id,
      description: rule.description,
      expression: rule.expression,
      isEnabled: rule.enabled,
      isBypass: rule.action === 'set_cache_settings' && rule.action_parameters?.cache === false,
      isCaching: rule.action === 'set_cache_settings' && rule.action_parameters?.cache === true,
    })),
  }))
export type CacheRuleset = z.output<typeof rulesetSchema>
export type CacheRule = CacheRuleset['rules'][number]

export const verificationSchema = z.looseObject({
  id: z.string().default(''),
  status: z.string(),
  expires_on: z.string().nullish(),
})

/** Base64 of `{"a":account,"t":tunnel,"s":secret}`. */
export const tunnelTokenSchema = z
  .string()
  .max(4096)
  .regex(/^[A-Za-z0-9+/]{40,}={0,2}$/)
