/** What there is: in the account, on this machine, and in the record of what was set up. Nothing is changed. */
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
  /** `http://127.0.0.1:8080` or `unix:/path`: where the connector finds us. */
  readonly service: string
  readonly zone: Zone
  readonly made: SetupRecord | undefined
  /** Its name when there is none yet. */
  readonly tunnelName: string
  readonly tunnel: RemoteTunnel | undefined
  /** Of the tunnel; none when there is no tunnel. */
  readonly connectors: readonly RemoteConnector[]
  readonly configuration: VersionedConfiguration | undefined
  readonly records: readonly DnsRecord[]
  readonly ruleset: CacheRuleset | undefined
  /** As `edgeCache` in the config says. */
  readonly mayEdgeCache: boolean
  /** At Cloudflare; `undefined` when there is no tunnel. */
  readonly token: string | undefined
  readonly tokenFile: string
  /** What the file holds; `undefined` when there is none. */
  readonly storedToken: string | undefined
  /** The token is among the credentials of a systemd service. */
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
  /** As the config is to say it, unless that is the path itself. */
  readonly text?: string
  readonly isForService: boolean
}

/**
 * Where the config has it; else among the credentials beside the config, where "burrow install-service" made them; else
 * in the state directory.
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

/** The one that was set up, else one of that name. */
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
      `Cannot point a tunnel at "listen" in "${file}": its port changes with each start; give it a number, such as "127.0.0.1:8080"`,
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
