/**
 * What TryCloudflare is to `cloudflared --quick-service`: a new tunnel with a random name for everyone who posts.
 *
 *   POST /tunnel →
 * {"success":true,"result":{"id","name","hostname":"words-words.trycloudflare.com","account_tag","secret":"<base64>"},"errors":[]}
 *
 * Source: cloudflared's cmd/cloudflared/tunnel/quick_tunnel.go.
 */
import { randomInt } from 'node:crypto'
import { createServer, type Server } from 'node:http'

import type { Tunnels } from './tunnels.ts'

const words =
  'amber birch cedar delta ember fjord grove heron inlet juniper kelp larch maple nectar otter pebble quartz reed sorrel thicket'.split(
    ' ',
  )

export interface QuickService {
  readonly server: Server
  /** Answers 429 with an error, as when an address has asked too often. */
  isRefusing: boolean
}

export function createQuickService(tunnels: Tunnels): QuickService {
  const service: QuickService = {
    isRefusing: false,
    server: createServer((request, response) => {
      request.resume()
      const isTunnel = request.method === 'POST' && request.url === '/tunnel'
      const status = !isTunnel ? 404 : service.isRefusing ? 429 : 200
      const code = status === 404 ? 7003 : 1015
      const body =
        status === 200
          ? created(tunnels)
          : {
              success: false,
              result: {},
              errors: [{ code, message: status === 404 ? 'Not found' : 'You are being rate limited' }],
            }
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
    }),
  }
  return service
}

function created(tunnels: Tunnels): object {
  const hostname = `${Array.from({ length: 4 }, () => words[randomInt(words.length)]).join('-')}.trycloudflare.com`
  const { id, name, accountTag, secret } = tunnels.create(hostname)
  return {
    success: true,
    result: { id, name, hostname, account_tag: accountTag, secret: secret.toString('base64') },
    errors: [],
  }
}
