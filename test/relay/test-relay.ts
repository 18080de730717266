/** A relay that listens on a port of its own, for the cache of test/fixtures/cache.ts. */
import type { AddressInfo } from 'node:net'

import { openRelay, type Relay, type RelayOptions, silentLog } from '../../src/index.ts'
import { benAuthorization } from '../fixtures/cache.ts'

export interface TestRelay extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly relay: Relay
}

export async function openTestRelay(url: string, overrides: Partial<RelayOptions> = {}): Promise<TestRelay> {
  const relay = openRelay({
    url: new URL(url),
    authorization: () => benAuthorization,
    storeDir: '/nix/store',
    version: '0.0.0',
    patienceMs: 60_000,
    decompressors: {},
    isHere: () => false,
    log: silentLog,
    ...overrides,
  })
  const server = relay.createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    relay,
    port,
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      relay[Symbol.dispose]()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
