/**
 * The account: what `burrow tunnel setup`, `teardown` and `status` ask and change, through the official SDK. Every
 * refusal becomes a complaint that names the permission it needs. What makes something new is not repeated when it is
 * unknown whether it was made: the next run finds it.
 */
import * as z from 'zod'

import { Complaint } from '../complaint.ts'
import {
  findRateLimitSeconds,
  isNotFound,
  maxRetryWaitSeconds,
  toApiComplaint,
  type Undertaking,
} from './api-faults.ts'
import {
  type CacheRuleset,
  configurationSchema,
  connectorSchema,
  type DnsRecord,
  dnsRecordSchema,
  type RemoteConnector,
  type RemoteTunnel,
  rulesetSchema,
  type TunnelConfiguration,
  tunnelSchema,
  tunnelTokenSchema,
  type VersionedConfiguration,
  verificationSchema,
  type Zone,
  zoneSchema,
} from './api-types.ts'
import { openClient } from './client.ts'
import { cachePhase, formatRuleDescription, formatRuleExpression, permissions, recordComment } from './marks.ts'
import { type TokenKind, tokenKindOf } from './token-kind.ts'

export interface CloudflareApi {
  readonly tokenKind: TokenKind
  /** Of a user's token; with an account, of a token that belongs to that account. */
  verifyToken(accountId?: string): Promise<{ readonly status: string; readonly expires: string | undefined }>
  /** Zones of exactly this name in all accounts that the token reaches. */
  listZones(name: string): Promise<Zone[]>
  findTunnel(accountId: string, tunnelId: string): Promise<RemoteTunnel | undefined>
  listTunnels(accountId: string, name: string): Promise<RemoteTunnel[]>
  /** Each cloudflared that has the tunnel's token and is connected. */
  listConnectors(accountId: string, tunnelId: string): Promise<RemoteConnector[]>
  createTunnel(accountId: string, name: string): Promise<RemoteTunnel>
  /** With `cascade` even when connectors are connected. */
  deleteTunnel(accountId: string, tunnelId: string, cascade: boolean): Promise<void>
  readConfiguration(accountId: string, tunnelId: string): Promise<VersionedConfiguration>
  writeConfiguration(accountId: string, tunnelId: string, configuration: TunnelConfiguration): Promise<void>
  readTunnelToken(accountId: string, tunnelId: string): Promise<string>
  listRecords(zoneId: string, hostname: string): Promise<DnsRecord[]>
  /** The first of those that it replaces becomes it, the others are taken away with the same request. */
  createRecord(zoneId: string, hostname: string, target: string, replacedIds: readonly string[]): Promise<DnsRecord>
  changeRecord(zoneId: string, recordId: string, target: string): Promise<DnsRecord>
  deleteRecord(zoneId: string, recordId: string): Promise<void>
  /** The zone's own cache rules; `undefined` when it never had any. */
  findCacheRules(zoneId: string): Promise<CacheRuleset | undefined>
  /** As the last rule, of a new ruleset when there is none: the last match wins. */
  createCacheRule(zoneId: string, rulesetId: string | undefined, hostname: string): Promise<CacheRuleset>
  changeCacheRule(zoneId: string, rulesetId: string, ruleId: string, hostname: string): Promise<CacheRuleset>
  deleteCacheRule(zoneId: string, rulesetId: string, ruleId: string): Promise<void>
  deleteCacheRuleset(zoneId: string, rulesetId: string): Promise<void>
}

/** More than any account has under one name. */
const maxItems = 1000
const pageSize = 50

export interface ApiOptions {
  readonly baseUrl: URL
  readonly apiToken: string
  readonly sleep: (ms: number) => Promise<unknown>
}

type Wish = Pick<Undertaking, 'action' | 'permission'>

/** No request is made yet. */
export async function openCloudflareApi({ baseUrl, apiToken, sleep }: ApiOptions): Promise<CloudflareApi> {
  const client = await openClient(baseUrl, apiToken)
  const given = { host: baseUrl.host, tokenKind: tokenKindOf(apiToken) }
  const tunnels = client.zeroTrust.tunnels.cloudflared
  const { records } = client.dns
  const { rulesets } = client

  async function ask<T>(undertaking: Wish, schema: z.ZodType<T>, call: () => PromiseLike<unknown>): Promise<T> {
    try {
      return schema.parse(await call())
    } catch (error) {
      const misfit = describeMisfit(error)
      if (misfit !== undefined)
        throw new Complaint(
          'refused',
          `Cannot ${undertaking.action}: unexpected reply from ${given.host} (${misfit})`,
          { cause: error },
        )
      throw toApiComplaint(error, { ...undertaking, ...given })
    }
  }
  const list = <T>(undertaking: Wish, schema: z.ZodType<T>, call: () => AsyncIterable<unknown>) =>
    ask(undertaking, z.array(schema), async () => {
      const items: unknown[] = []
      for await (const item of call()) if (items.push(item) >= maxItems) break
      return items
    })
  /** A rate limit says that nothing was done; anything else may hide that it was. */
  const make = async (call: () => PromiseLike<unknown>): Promise<unknown> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await call()
      } catch (error) {
        const seconds = findRateLimitSeconds(error)
        if (seconds === undefined || seconds > maxRetryWaitSeconds || attempt > 3) throw error
        await sleep(seconds * 1000)
      }
    }
  }
  /** What is gone already need not be taken away. */
  const remove = (undertaking: Wish, call: () => PromiseLike<unknown>) =>
    ask(undertaking, z.void(), async () => {
      try {
        await call()
      } catch (error) {
        if (!isNotFound(error)) throw error
      }
    })
  const find = <T>(undertaking: Wish, schema: z.ZodType<T>, call: () => PromiseLike<unknown>) =>
    ask(undertaking, z.union([z.undefined(), schema]), async () => {
      try {
        return await call()
      } catch (error) {
        if (isNotFound(error)) return undefined
        throw error
      }
    })
  const once = { maxRetries: 0 }

  const toRecord = (hostname: string, target: string) =>
    ({ type: 'CNAME', name: hostname, content: target, proxied: true, ttl: 1, comment: recordComment }) as const
  const toRule = (hostname: string) =>
    ({
      action: 'set_cache_settings',
      action_parameters: { cache: false },
      description: formatRuleDescription(hostname),
      expression: formatRuleExpression(hostname),
      enabled: true,
    }) as const

  return {
    tokenKind: given.tokenKind,
    async verifyToken(accountId) {
      const call =
        accountId === undefined
          ? () => client.user.tokens.verify()
          : () => client.accounts.tokens.verify({ account_id: accountId })
      const { status, expires_on } = await ask({ action: 'verify the API token' }, verificationSchema, call)
      return { status, expires: expires_on ?? undefined }
    },
    listZones: (name) =>
      list({ action: `look for the zone "${name}"`, permission: permissions.zone }, zoneSchema, () =>
        client.zones.list({ name, per_page: pageSize }),
      ),
    findTunnel: (accountId, tunnelId) =>
      find({ action: `read the tunnel ${tunnelId}`, permission: permissions.tunnel }, tunnelSchema, () =>
        tunnels.get(tunnelId, { account_id: accountId }),
      ),
    listTunnels: (accountId, name) =>
      list({ action: 'list tunnels', permission: permissions.tunnel }, tunnelSchema, () =>
        tunnels.list({ account_id: accountId, name, is_deleted: false, per_page: pageSize }),
      ),
    listConnectors: (accountId, tunnelId) =>
      list(
        { action: `list the connections of the tunnel ${tunnelId}`, permission: permissions.tunnel },
        connectorSchema,
        () => tunnels.connections.get(tunnelId, { account_id: accountId }),
      ),
    createTunnel: (accountId, name) =>
      ask({ action: `create the tunnel "${name}"`, permission: permissions.tunnel }, tunnelSchema, () =>
        make(() => tunnels.create({ account_id: accountId, name, config_src: 'cloudflare' }, once)),
      ),
    deleteTunnel: (accountId, tunnelId, cascade) =>
      remove({ action: `delete the tunnel ${tunnelId}`, permission: permissions.tunnel }, () =>
        // As cloudflared asks for it (cfapi/tunnel.go); the SDK's types do not know it.
        tunnels.delete(tunnelId, { account_id: accountId }, cascade ? { query: { cascade: true } } : {}),
      ),
    readConfiguration: (accountId, tunnelId) =>
      ask({ action: "read the tunnel's ingress rules", permission: permissions.tunnel }, configurationSchema, () =>
        tunnels.configurations.get(tunnelId, { account_id: accountId }),
      ),
    writeConfiguration: (accountId, tunnelId, configuration) =>
      ask({ action: "change the tunnel's ingress rules", permission: permissions.tunnel }, z.any(), () =>
        tunnels.configurations.update(tunnelId, { account_id: accountId, config: configuration as object }),
      ),
    readTunnelToken: (accountId, tunnelId) =>
      ask({ action: "fetch the tunnel's token", permission: permissions.tunnel }, tunnelTokenSchema, () =>
        tunnels.token.get(tunnelId, { account_id: accountId }),
      ),
    listRecords: (zoneId, hostname) =>
      list({ action: `read the DNS records of ${hostname}`, permission: permissions.dns }, dnsRecordSchema, () =>
        records.list({ zone_id: zoneId, name: { exact: hostname }, per_page: pageSize }),
      ),
    createRecord: (zoneId, hostname, target, replacedIds) =>
      ask(
        { action: `create the DNS record of ${hostname}`, permission: permissions.dns },
        dnsRecordSchema,
        async () => {
          const record = toRecord(hostname, target)
          if (replacedIds.length === 0) return await make(() => records.create({ zone_id: zoneId, ...record }, once))
          // One that is there becomes ours in its place: the edges hear of a batch piece by piece, so that a deletion
          // could be seen before the record that follows it.
          const [id, ...others] = replacedIds
          const changes = {
            puts: [{ id: id!, ...record }],
            ...(others.length > 0 && { deletes: others.map((each) => ({ id: each })) }),
          }
          const batch = (await make(() => records.batch({ zone_id: zoneId, ...changes }, once))) as { puts?: unknown[] }
          return batch.puts?.[0]
        },
      ),
    changeRecord: (zoneId, recordId, target) =>
      ask({ action: 'change the DNS record', permission: permissions.dns }, dnsRecordSchema, () =>
        records.edit(recordId, {
          zone_id: zoneId,
          type: 'CNAME',
          content: target,
          proxied: true,
          comment: recordComment,
        } as Parameters<typeof records.edit>[1]),
      ),
    deleteRecord: (zoneId, recordId) =>
      remove({ action: 'delete the DNS record', permission: permissions.dns }, () =>
        records.delete(recordId, { zone_id: zoneId }),
      ),
    findCacheRules: (zoneId) =>
      find({ action: "read the zone's cache rules", permission: permissions.rules }, rulesetSchema, () =>
        rulesets.phases.get(cachePhase, { zone_id: zoneId }),
      ),
    createCacheRule: (zoneId, rulesetId, hostname) =>
      ask({ action: `create the cache rule of ${hostname}`, permission: permissions.rules }, rulesetSchema, () =>
        make(() =>
          rulesetId === undefined
            ? rulesets.create(
                { zone_id: zoneId, kind: 'zone', name: 'default', phase: cachePhase, rules: [toRule(hostname)] },
                once,
              )
            : rulesets.rules.create(rulesetId, { zone_id: zoneId, ...toRule(hostname) }, once),
        ),
      ),
    changeCacheRule: (zoneId, rulesetId, ruleId, hostname) =>
      ask({ action: `change the cache rule of ${hostname}`, permission: permissions.rules }, rulesetSchema, () =>
        rulesets.rules.edit(ruleId, { ruleset_id: rulesetId, zone_id: zoneId, ...toRule(hostname) } as Parameters<
          typeof rulesets.rules.edit
        >[1]),
      ),
    deleteCacheRule: (zoneId, rulesetId, ruleId) =>
      remove({ action: 'delete the cache rule', permission: permissions.rules }, () =>
        rulesets.rules.delete(ruleId, { ruleset_id: rulesetId, zone_id: zoneId }),
      ),
    deleteCacheRuleset: (zoneId, rulesetId) =>
      remove({ action: 'delete the empty ruleset', permission: permissions.rules }, () =>
        rulesets.delete(rulesetId, { zone_id: zoneId }),
      ),
  }
}

function describeMisfit(error: unknown): string | undefined {
  if (error instanceof z.ZodError) {
    const { path, message } = error.issues[0]!
    return `/${path.join('/')}: ${message}`
  }
  return (error as Error | undefined)?.name === 'SyntaxError' ? 'not JSON' : undefined
}
