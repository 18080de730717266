import { expect, test } from '@jest/globals'

import type { Appliance } from '../../appliance/appliance.ts'
import type { Config } from '../../appliance/config/config.ts'
import type { Machine } from '../../appliance/machine.ts'
import { createSetupPrinter } from '../../appliance/terminal/setup-printer.ts'
import type { TunnelState, TunnelStatus } from '../../appliance/tunnel/tunnel.ts'

function startTelling(first: TunnelState, hostname?: string) {
  let printed = ''
  const write = (text: string) => {
    printed += text
  }
  const machine = { stdout: { write }, env: {} } as unknown as Machine
  const config = { access: { kind: 'public' }, store: { dir: '/nix/store' } } as unknown as Config
  const printer = createSetupPrinter(machine, config)
  const statusOf = (state: TunnelState, name = hostname) =>
    ({ state, hostname: name, mode: 'token' }) as unknown as TunnelStatus
  const address = { kind: 'tcp', host: '127.0.0.1', port: 8080 }
  printer.begin({
    tunnel: { status: statusOf(first) },
    listener: { address },
    inForce: { users: undefined, signing: [] },
  } as unknown as Appliance)
  return {
    tell: (state: TunnelState, name?: string) => printer.update(statusOf(state, name)),
    take() {
      const urls = [...printed.matchAll(/^extra-substituters = (.*)$/gm)].map(([, url]) => url)
      printed = ''
      return urls
    },
  }
}

test('the set-up is printed as soon as Burrow serves, with the name the tunnel was given, also while it cannot connect, and again for another name', () => {
  const { tell, take } = startTelling('backing-off', 'cache.example.org')
  expect(take()).toEqual(['https://cache.example.org'])
  for (const state of ['starting', 'failed', 'connected', 'degraded', 'reconnecting', 'connected'] as const) tell(state)
  expect(take()).toEqual([])
  tell('degraded', 'other.example.org')
  expect(take()).toEqual(['https://other.example.org'])
})

test("a tunnel whose name is not known yet: first the listener's own address, then the public one, also with a connection too few", () => {
  const { tell, take } = startTelling('starting')
  expect(take()).toEqual(['http://127.0.0.1:8080'])
  tell('backing-off')
  expect(take()).toEqual([])
  tell('degraded', 'words.trycloudflare.com')
  expect(take()).toEqual(['https://words.trycloudflare.com'])
})

test.each(['off', 'missing-binary', 'failed'] as const)(
  "without a way out (%s) the listener's own address is printed",
  (state) => {
    expect(startTelling(state).take()).toEqual(['http://127.0.0.1:8080'])
  },
)
