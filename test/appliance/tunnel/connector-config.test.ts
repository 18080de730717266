import { describe, expect, test } from '@jest/globals'
import { parse } from 'yaml'

import { formatConnectorConfig } from '../../../appliance/tunnel/launch/connector-config.ts'
import type { TunnelSettings } from '../../../appliance/tunnel/settings.ts'
import { settings as plain } from './scripted-launch.ts'

const tcp = 'http://127.0.0.1:8080'
const socket = 'unix:/run/burrow/burrow.sock'
const credentials = { tunnelId: '11111111-2222-4333-8444-555555555555', file: '/etc/burrow/tunnel.json' }

const configOf = (settings: Partial<TunnelSettings>, origin: string, login?: typeof credentials) =>
  parse(formatConnectorConfig({ settings: { ...plain, ...settings }, origin, credentials: login }))

describe('formatConnectorConfig', () => {
  test.each([tcp, socket])(
    'credentials: our rules, one for the host name and nothing for all others (%s)',
    (origin) => {
      expect(configOf({ mode: 'credentials', hostname: 'cache.example.org' }, origin, credentials)).toMatchObject({
        tunnel: credentials.tunnelId,
        'credentials-file': credentials.file,
        ingress: [{ hostname: 'cache.example.org', service: origin }, { service: 'http_status:404' }],
      })
    },
  )

  test.each([tcp, socket])(
    'token: no rules, for the edge sends them or the environment names the origin (%s)',
    (origin) => {
      const config = configOf({ mode: 'token', hostname: 'cache.example.org' }, origin)
      expect(Object.keys(config)).toEqual(['originRequest'])
    },
  )

  test('quick: a rule only for a unix socket, which no URL can name', () => {
    expect(configOf({ mode: 'quick' }, tcp)).not.toHaveProperty('ingress')
    expect(configOf({ mode: 'quick' }, socket).ingress).toEqual([{ service: socket }])
  })

  test('idle connections are closed by cloudflared, before the origin does at 120 s', () => {
    expect(configOf({}, tcp).originRequest).toMatchObject({ keepAliveTimeout: '90s', connectTimeout: '5s' })
    expect(configOf({}, tcp).originRequest).not.toHaveProperty('disableChunkedEncoding')
  })

  test('haConnections is a number, and absent unless set', () => {
    expect(configOf({ haConnections: 2 }, tcp)).toMatchObject({ 'ha-connections': 2 })
    expect(configOf({}, tcp)).not.toHaveProperty('ha-connections')
  })

  test('a path cannot add a key of its own', () => {
    const file = '/x"\ntoken: "stolen'
    const config = configOf({ mode: 'credentials', hostname: 'cache.example.org' }, 'unix:/a"]\nb: c', {
      ...credentials,
      file,
    })
    expect(config['credentials-file']).toBe(file)
    expect(Object.keys(config)).toEqual(['tunnel', 'credentials-file', 'originRequest', 'ingress'])
  })
})
