import { expect, test } from '@jest/globals'

import type { Appliance } from '../../appliance/appliance.ts'
import type { Config } from '../../appliance/config/config.ts'
import type { Machine } from '../../appliance/machine.ts'
import { createSetupTeller } from '../../appliance/setup-teller.ts'
import type { TunnelState, TunnelStatus } from '../../appliance/tunnel/tunnel.ts'

function startTelling(first: TunnelState, hostname?: string) {
  let printed = ''
  const write = (text: string) => {
    printed += text
  }
  const machine = { stdout: { write }, env: {} } as unknown as Machine
  const config = { access: { kind: 'public' }, store: { dir: '/nix/store' } } as unknown as Config
  const teller = createSetupTeller(machine, config)
  const statusOf = (state: TunnelState, name = hostname) => ({ state, hostname: name, mode: 'token' }) as unknown as TunnelStatus
  const address = { kind: 'tcp', host: '127.0.0.1', port: 8080 }
  teller.begin({ tunnel: { status: statusOf(first) }, listener: { address }, inForce: { users: undefined, signing: [] } } as unknown as Appliance)
  return {
    tell: (state: TunnelState, name?: string) => teller.tell(statusOf(state, name)),
    take() {
      const urls = [...printed.matchAll(/^extra-substituters = (.*)$/gm)].map(([, url]) => url)
      printed = ''
      return urls
    },
  }
}

test('the public address is printed when somebody answers there, once, and again when it is another', () => {
  const { tell, take } = startTelling('starting', 'cache.example.org')
  for (const state of ['starting', 'backing-off', 'failed', 'reconnecting'] as const) tell(state)
  expect(take()).toEqual([])
  tell('connected')
  expect(take()).toEqual(['https://cache.example.org'])
  for (const state of ['degraded', 'reconnecting', 'connected'] as const) tell(state)
  expect(take()).toEqual([])
  tell('connected', 'words.trycloudflare.com')
  expect(take()).toEqual(['https://words.trycloudflare.com'])
})

test.each(['off', 'missing-binary'] as const)("without a way out (%s) the listener's own address is printed", (state) => {
  expect(startTelling(state).take()).toEqual(['http://127.0.0.1:8080'])
})
