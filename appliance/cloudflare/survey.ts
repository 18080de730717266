/** Reads the current state of the account, of this machine, and of the record of the setup. Changes nothing. */
import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'

import { Complaint, reasonOf } from '../complaint.ts'
import type { Config } from '../config/config.ts'
import { urlOf } from '../server/listener.ts'
import { readIfAny } from '../state/private-files.ts'
import { tunnelTokenFile } from '../state/state-dir.ts'
import type { CloudflareApi } from './api.ts'
import type {
  CacheRuleset,
  DnsRecord,
  RemoteConnector,
  RemoteTunnel,
  VersionedConfiguration,
  Zone,
} from './api-types.ts'
import { type ConfigChange, planTunnelSetting } from './config-change.ts'
import type { SetupRecord } from './setup-record.ts'

export interface Survey {
  readonly hostname: string
  /** Burrow's address for the connector: `http://127.0.0.1:8080` or `unix:/path`. */
  readonly service: string
  readonly zone: Zone
  readonly made: SetupRecord | undefined
  /** The name for a new tunnel. */
  readonly tunnelName: string
  readonly tunnel: RemoteTunnel | undefined
  /** Connectors of the tunnel; empty if there is no tunnel. */
  readonly connectors: readonly RemoteConnector[]
  readonly configuration: VersionedConfiguration | undefined
  readonly records: readonly DnsRecord[]
  readonly ruleset: CacheRuleset | undefined
  /** From `edgeCache` in the config. */
  readonly mayEdgeCache: boolean
  /** The token at Cloudflare; `undefined` if there is no tunnel. */
  readonly token: string | undefined
  readonly tokenFile: string
  /** The token in the file; `undefined` if there is none. */
  readonly storedToken: string | undefined
  /** Whether the token is a credential of a systemd service. */
  readonly isForService: boolean
  readonly config: ConfigChange
}

export interface SurveyWish {
  readonly hostname: string
  readonly tunnelName: string
  readonly zone: Zone
  readonly made: SetupRecord | undefined
  readonly config: Config & { file: string }
}

/** @throws {Complaint} */
export async function survey(
  api: CloudflareApi,
  { hostname, tunnelName, zone, made, config }: SurveyWish,
): Promise<Survey> {
  const service = toService(config)
  const accountId = zone.account.id
  const tunnel = await findTunnel(api, accountId, made?.tunnel?.id, tunnelName)
  const readable = tunnel?.isRemotelyManaged === true ? tunnel : undefined
  const place = await findTokenPlace(config)
  const { file: tokenFile } = place
  return {
    hostname,
    service,
    zone,
    made,
    tunnelName,
    tunnel,
    connectors: tunnel === undefined ? [] : await api.listConnectors(accountId, tunnel.id),
    configuration: readable && (await api.readConfiguration(accountId, readable.id)),
    token: readable && (await api.readTunnelToken(accountId, readable.id)),
    records: await api.listRecords(zone.id, hostname),
    ruleset: await api.findCacheRules(zone.id),
    mayEdgeCache: config.edgeCache === 'allow',
    tokenFile,
    isForService: place.isForService,
    storedToken: await readStored(tokenFile),
    config: await planTunnelSetting(config, { hostname, tokenFile, tokenFileText: place.text }),
  }
}

interface TokenPlace {
  readonly file: string
  /** The path as written in the config, if it contains a variable. */
  readonly text?: string
  readonly isForService: boolean
}

/**
 * The path in the config; or else the credentials directory next to the config, if "burrow install-service" created one;
 * or else the state directory.
 */
async function findTokenPlace({ tunnel, state, file }: Config & { file: string }): Promise<TokenPlace> {
  const credentialsDir = join(dirname(file), 'credentials')
  if (tunnel?.secret.kind === 'token-file')
    return { file: tunnel.secret.file, isForService: dirname(tunnel.secret.file) === credentialsDir }
  const isForService = await stat(credentialsDir).then(
    (found) => found.isDirectory(),
    () => false,
  )
  if (!isForService) return { file: join(state.dir, tunnelTokenFile), isForService }
  return {
    file: join(credentialsDir, tunnelTokenFile),
    text: `\${CREDENTIALS_DIRECTORY:-${credentialsDir.replaceAll('$', '$$$$')}}/${tunnelTokenFile}`,
    isForService,
  }
}

/** The tunnel that was set up, or else one with this name. */
async function findTunnel(
  api: CloudflareApi,
  accountId: string,
  id: string | undefined,
  name: string,
): Promise<RemoteTunnel | undefined> {
  const known = id === undefined ? undefined : await api.findTunnel(accountId, id)
  if (known?.isDeleted === false) return known
  return (await api.listTunnels(accountId, name)).find((tunnel) => tunnel.name === name && !tunnel.isDeleted)
}

/** @throws {Complaint} config */
export function toService({ listen, file }: Config): string {
  if (listen.kind === 'unix') return `unix:${listen.path}`
  if (listen.port === 0) {
    throw new Complaint(
      'config',
      `Cannot point a tunnel at "listen" in "${file}": its port changes with each start; set a fixed port, such as "127.0.0.1:8080"`,
    )
  }
  return urlOf(listen)!
}

async function readStored(file: string): Promise<string | undefined> {
  try {
    return (await readIfAny(file))?.trim()
  } catch (error) {
    throw new Complaint('state', `Cannot read "${file}": ${reasonOf(error)}; run this as the user that runs Burrow`, {
      cause: error,
    })
  }
}
