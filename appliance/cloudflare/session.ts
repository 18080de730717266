/**
 * What setup, teardown and status have in common: options, the config file and the API client.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Option } from 'commander'

import { Complaint } from '../complaint.ts'
import type { Config } from '../config/config.ts'
import { loadConfig } from '../config/load-config.ts'
import type { Machine } from '../machine.ts'
import { type CloudflareApi, openCloudflareApi } from './api.ts'
import { obtainApiToken } from './api-token.ts'

export interface SessionOptions {
  readonly config?: string
  readonly apiTokenFile?: string
  readonly apiUrl?: string
}

export const tokenFileOption = () => new Option('--api-token-file <file>', 'file with the API token')
export const apiUrlOption = () => new Option('--api-url <url>', 'URL of the Cloudflare API').hideHelp()

const publicApi = 'https://api.cloudflare.com/client/v4'

/** @throws {Complaint} config: there is no config file */
export function loadConfigFile(machine: Machine, file: string | undefined): Config & { file: string } {
  const { config } = loadConfig({ machine, file })
  if (config.file === undefined) {
    throw new Complaint(
      'config',
      'Cannot set up a tunnel without a config; create one with "burrow init", or give yours with --config',
    )
  }
  return { ...config, file: config.file }
}

/** @throws {Complaint} usage, refused, interrupted */
export async function openSession(machine: Machine, { apiTokenFile, apiUrl }: SessionOptions): Promise<CloudflareApi> {
  const baseUrl = parseApiUrl(apiUrl ?? (machine.env.CLOUDFLARE_API_BASE_URL || publicApi))
  return await openCloudflareApi({ baseUrl, apiToken: await obtainApiToken(machine, apiTokenFile), sleep })
}

/** The token is sent there, so it must be HTTPS or this machine. */
function parseApiUrl(text: string): URL {
  const url = URL.parse(text)
  const isLoopback = url?.protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname)
  if (url !== null && (url.protocol === 'https:' || isLoopback) && url.username === '' && url.search === '') return url
  throw new Complaint(
    'usage',
    'Cannot use this URL of the Cloudflare API: it must begin with https:// and must not contain a user name, password or query',
  )
}
