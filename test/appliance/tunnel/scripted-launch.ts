/** Settings and launch for a connector of `test/fixtures/connectors/`. */
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { Launch } from '../../../appliance/tunnel/launch/launch.ts'
import type { TunnelSettings } from '../../../appliance/tunnel/settings.ts'

export const settings: TunnelSettings = {
  mode: 'token',
  secret: { kind: 'token', token: 'eyJ0b2tlbiI6Im9mLXRoZS10ZXN0In0=' },
  isOptional: false,
  hostname: undefined,
  protocol: 'http2',
  region: undefined,
  edgeIpVersion: 'auto',
  graceMs: 10_000,
  logLevel: 'info',
  haConnections: undefined,
  extraArgs: [],
  binary: undefined,
}

export const connectorFile = (behaviour: string): string =>
  fileURLToPath(new URL(`../../fixtures/connectors/${behaviour}`, import.meta.url))

export function createLaunch(behaviour: string, lifelinePort: number): Launch {
  return {
    command: connectorFile(behaviour),
    args: ['tunnel', '--config', '/nowhere/burrow-test/config.yml', 'run'],
    env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, BURROW_TEST_LIFELINE: String(lifelinePort) },
    configFile: '/nowhere/burrow-test/config.yml',
    metrics: undefined,
    tunnelId: undefined,
    secrets: [],
    async forgetSecret() {},
  }
}
