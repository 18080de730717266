/**
 * The operations in a Cloudflare account that `burrow tunnel setup`, `teardown` and `status` need, through the official
 * SDK. A request that creates something is not repeated if it is unknown whether it succeeded: the next run finds it.
 */
import * as z from 'zod'

import { createRequests } from './api-requests.ts'
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
import { cachePhase, permissions, recordComment, toRecord, toRule } from './marks.ts'
import { type TokenKind, tokenKindOf } from './token-kind.ts'

export interface CloudflareApi {
  readonly tokenKind: TokenKind
  /** Verifies a user token, or with `accountId` an account token. */
  verifyToken(accountId?: string): Promise<{ readonly status: string; readonly expires: string | undefined }>
  /** Zones with exactly this name in all accounts that the token can access. */
  listZones(name: string): Promise<Zone[]>
  findTunnel(accountId: string, tunnelId: string): Promise<RemoteTunnel | undefined>
  listTunnels(accountId: string, name: string): Promise<RemoteTunnel[]>
  /** All connected cloudflared processes of the tunnel. */
  listConnectors(accountId: string, tunnelId: string): Promise<RemoteConnector[]>
  createTunnel(accountId: string, name: string): Promise<RemoteTunnel>
  /** With `cascade`, even if connectors are connected. */
  deleteTunnel(accountId: string, tunnelId: string, cascade: boolean): Promise<void>
  readConfiguration(accountId: string, tunnelId: string): Promise<VersionedConfiguration>
  writeConfiguration(accountId: string, tunnelId: string, configuration: TunnelConfiguration): Promise<void>
  readTunnelToken(accountId: string, tunnelId: string): Promise<string>
  listRecords(zoneId: string, hostname: string): Promise<DnsRecord[]>
  /** The first replaced record is changed in place, the others are deleted in the same request. */
  createRecord(zoneId: string, hostname: string, target: string, replacedIds: readonly string[]): Promise<DnsRecord>
  changeRecord(zoneId: string, recordId: string, target: string): Promise<DnsRecord>
  deleteRecord(zoneId: string, recordId: string): Promise<void>
  /** The zone's cache rules; `undefined` if it never had any. */
  findCacheRules(zoneId: string): Promise<CacheRuleset | undefined>
  /** Adds the rule at the end, because the last match wins; creates the ruleset if there is none. */
  createCacheRule(zoneId: string, rulesetId: string | undefined, hostname: string): Promise<CacheRuleset>
  changeCacheRule(zoneId: string, rulesetId: string, ruleId: string, hostname: string): Promise<CacheRuleset>
  deleteCacheRule(zoneId: string, rulesetId: string, ruleId: string): Promise<void>
  deleteCacheRuleset(zoneId: string, rulesetId: string): Promise<void>
}

const pageSize = 50
/** For requests that must not be repeated. */
const once = { maxRetries: 0 }

export interface ApiOptions {
  readonly baseUrl: URL
  readonly apiToken: string
  readonly sleep: (ms: number) => Promise<unknown>
}

/** Sends no request. */
export async function openCloudflareApi({ baseUrl, apiToken, sleep }: ApiOptions): Promise<CloudflareApi> {
  const client = await openClient(baseUrl, apiToken)
  const tokenKind = tokenKindOf(apiToken)
  const tunnels = client.zeroTrust.tunnels.cloudflared
  const { records } = client.dns
  const { rulesets } = client
  const { ask, list, create, remove, find } = createRequests({ host: baseUrl.host, tokenKind, sleep })

  return {
    tokenKind,
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
        create(() => tunnels.create({ account_id: accountId, name, config_src: 'cloudflare' }, once)),
      ),
    deleteTunnel: (accountId, tunnelId, cascade) =>
      remove({ action: `delete the tunnel ${tunnelId}`, permission: permissions.tunnel }, () =>
        // As in cloudflared (cfapi/tunnel.go); the SDK's types do not have this parameter.
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
          if (replacedIds.length === 0) return await create(() => records.create({ zone_id: zoneId, ...record }, once))
          // An existing record is changed in place: edges receive the parts of a batch separately, so a deletion could
          // take effect before the new record.
          const [id, ...others] = replacedIds
          const changes = {
            puts: [{ id: id!, ...record }],
            ...(others.length > 0 && { deletes: others.map((each) => ({ id: each })) }),
          }
          const batch = (await create(() => records.batch({ zone_id: zoneId, ...changes }, once))) as {
            puts?: unknown[]
          }
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
        create(() =>
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
