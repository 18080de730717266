/** GitHub's releases on loopback, the installer pointed at it, and a scratch state directory to install into. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { createFetchFile, type FetchFile } from '../../../appliance/tunnel/find/fetch-file.ts'
import { pinnedVersion, type Release } from '../../../appliance/tunnel/find/release.ts'

export const version = pinnedVersion
export const program = `#!/bin/sh\necho ${version}\n`

export const sha256Of = (content: string): string => createHash('sha256').update(content).digest('hex')

export const releaseOf = (content: string, overrides: Partial<Release> = {}): Release => ({
  version,
  asset: 'cloudflared-linux-amd64',
  url: `https://github.com/cloudflare/cloudflared/releases/download/${version}/cloudflared-linux-amd64`,
  sha256: sha256Of(content),
  bytes: content.length,
  ...overrides,
})

export interface ReleaseServer extends AsyncDisposable {
  readonly fetchFile: FetchFile
  readonly requests: readonly IncomingMessage[]
}

export async function openReleaseServer(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<ReleaseServer> {
  const requests: IncomingMessage[] = []
  const server = createServer((request, response) => {
    requests.push(request)
    answer(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    // The real one, whose requests go to a port of this machine without TLS.
    fetchFile: createFetchFile(({ host, pathname }, { signal }) =>
      get({ host: '127.0.0.1', port, path: pathname, headers: { host }, signal }),
    ),
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
