import { describe, expect, test } from '@jest/globals'
import * as fc from 'fast-check'

import { createConnectorEnv } from '../../../appliance/tunnel/launch/connector-env.ts'
import type { TunnelSettings } from '../../../appliance/tunnel/settings.ts'
import { settings as plain } from './scripted-launch.ts'

const tcp = 'http://127.0.0.1:8080'
const socket = 'unix:/run/burrow/burrow.sock'
const byFile = { TUNNEL_TOKEN_FILE: '/run/burrow/token' }

const envOf = (
  settings: Partial<TunnelSettings>,
  origin = tcp,
  env = {},
  token: typeof byFile | undefined = undefined,
) => createConnectorEnv({ env, settings: { ...plain, ...settings }, origin, metrics: '127.0.0.1:20300', token })

const always = {
  HOME: '/nonexistent',
  NO_AUTOUPDATE: 'true',
  TUNNEL_NO_PRECHECKS: 'true',
  TUNNEL_TRANSPORT_PROTOCOL: 'http2',
  TUNNEL_EDGE_IP_VERSION: 'auto',
  TUNNEL_METRICS: '127.0.0.1:20300',
  TUNNEL_RETRIES: '1',
  TUNNEL_GRACE_PERIOD: '10000ms',
  TUNNEL_LOG_OUTPUT: 'json',
  TUNNEL_LOGLEVEL: 'info',
  TUNNEL_MANAGEMENT_DIAGNOSTICS: 'false',
}

describe('createConnectorEnv', () => {
  test.each<[TunnelSettings['mode'], string, object]>([
    ['token', tcp, { ...byFile, TUNNEL_URL: tcp }],
    ['token', socket, { ...byFile, TUNNEL_UNIX_SOCKET: '/run/burrow/burrow.sock' }],
    ['quick', tcp, { TUNNEL_URL: tcp }],
    ['quick', socket, { TUNNEL_URL: 'http://localhost' }],
    ['credentials', tcp, {}],
    ['credentials', socket, {}],
  ])('%s with the origin %s: all that there is', (mode, origin, own) => {
    expect(envOf({ mode }, origin, {}, mode === 'token' ? byFile : undefined)).toEqual({ ...always, ...own })
  })

  test('the settings', () => {
    const env = envOf({ protocol: 'quic', region: 'us', edgeIpVersion: '6', graceMs: 1500.4, logLevel: 'debug' })
    expect(env).toMatchObject({
      TUNNEL_TRANSPORT_PROTOCOL: 'quic',
      TUNNEL_REGION: 'us',
      TUNNEL_EDGE_IP_VERSION: '6',
      TUNNEL_GRACE_PERIOD: '1500ms',
      TUNNEL_LOGLEVEL: 'debug',
    })
    // The line that tells the metrics port must be said.
    expect(envOf({ logLevel: 'error' })).toMatchObject({ TUNNEL_LOGLEVEL: 'info' })
    expect(envOf({})).not.toHaveProperty('TUNNEL_REGION')
  })

  test('nothing passes but what is on the list', () => {
    const ours = {
      NOTIFY_SOCKET: '/run/systemd/notify',
      LISTEN_FDS: '1',
      LISTEN_PID: '1',
      WATCHDOG_USEC: '1',
      HTTPS_PROXY: 'http://proxy',
      HTTP_PROXY: 'http://proxy',
      TUNNEL_TOKEN: 'foreign',
      TUNNEL_ORIGIN_CERT: '/root/cert.pem',
      TUNNEL_HOSTNAME: 'foreign.example.org',
      BURROW_CONFIG: 'x',
      CI_PASSWORD: 'secret',
      CREDENTIALS_DIRECTORY: '/run/credentials',
      LD_PRELOAD: '/x.so',
      HOME: '/root',
      NO_AUTOUPDATE: 'false',
    }
    const passed = { PATH: '/bin', TZ: 'UTC', LANG: 'C', SSL_CERT_FILE: '/etc/ssl/x', GOMAXPROCS: '2' }
    expect(envOf({ mode: 'credentials' }, tcp, { ...ours, ...passed })).toEqual({ ...always, ...passed })
  })

  test('whatever the environment holds, no value of another name appears', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[A-Z_]{1,20}$/), fc.uuid()), (env) => {
        const listed = new Set([
          'PATH',
          'LANG',
          'LC_ALL',
          'TZ',
          'SSL_CERT_FILE',
          'SSL_CERT_DIR',
          'GODEBUG',
          'GOMAXPROCS',
          'GOMEMLIMIT',
        ])
        const values = new Set(Object.values(envOf({}, tcp, env)))
        for (const [name, value] of Object.entries(env)) expect(values.has(value)).toBe(listed.has(name))
      }),
    )
  })
})
