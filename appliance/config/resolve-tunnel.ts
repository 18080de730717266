/** The setting "tunnel" as the supervisor takes it. */
import type { TunnelSecret, TunnelSettings } from '../tunnel/settings.ts'
import { parseDuration } from './duration.ts'
import type { ConfigFile } from './schema.ts'
import type { TunnelValues } from './tunnel-schema.ts'

const plain: Omit<TunnelValues, 'mode'> = {
  protocol: 'http2',
  region: 'global',
  edgeIpVersion: 'auto',
  gracePeriod: '30s',
  logLevel: 'info',
  extraArgs: [],
}

/** Without any config there is a quick tunnel where it can be had: the user made at the first start protects it. */
export function toTunnel(
  value: ConfigFile['tunnel'],
  file: string | undefined,
  toAbsolute: (path: string) => string,
): TunnelSettings | undefined {
  const values: TunnelValues =
    typeof value === 'object' ? value : { ...plain, mode: value ?? (file === undefined ? 'quick' : 'off') }
  if (values.mode === 'off') return undefined
  return {
    mode: values.mode,
    secret: toSecret(values, toAbsolute),
    isOptional: value === undefined,
    hostname: values.hostname?.toLowerCase(),
    protocol: values.protocol,
    region: values.region === 'global' ? undefined : values.region,
    edgeIpVersion: values.edgeIpVersion,
    graceMs: parseDuration(values.gracePeriod)!,
    logLevel: values.logLevel,
    haConnections: values.haConnections,
    extraArgs: values.extraArgs,
    binary: values.binary === undefined ? undefined : toAbsolute(values.binary),
  }
}

function toSecret(
  { token, tokenFile, credentialsFile }: TunnelValues,
  toAbsolute: (path: string) => string,
): TunnelSecret {
  if (token !== undefined) return { kind: 'token', token }
  if (tokenFile !== undefined) return { kind: 'token-file', file: toAbsolute(tokenFile) }
  if (credentialsFile !== undefined) return { kind: 'credentials-file', file: toAbsolute(credentialsFile) }
  return { kind: 'none' }
}
