/**
 * Sends a remotely managed tunnel's configuration down a connection: a PUT of {"version":N,"config":{…}} on a stream of
 * its own, answered by {"lastAppliedVersion":N,"err":null}. Source: cloudflared's connection/http2.go
 * (handleConfigurationUpdate).
 */
import type { Connection } from './connection.ts'
import { chunksOf } from './download.ts'

export interface ConfigAnswer {
  readonly lastAppliedVersion: number
  /** `null` when it was applied or is known already. */
  readonly err: unknown
}

export async function pushConfig(connection: Connection, version: number, config: object): Promise<ConfigAnswer> {
  const stream = connection.request(
    {
      ':method': 'PUT',
      ':path': '/',
      ':scheme': 'https',
      ':authority': 'edge.invalid',
      'content-type': 'application/json',
      'cf-cloudflared-proxy-connection-upgrade': 'update-configuration',
    },
    { endStream: false, signal: new AbortController().signal },
  )
  stream.end(JSON.stringify({ version, config }))
  const chunks: Buffer[] = []
  for await (const chunk of chunksOf(stream)) chunks.push(chunk)
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as ConfigAnswer
}
