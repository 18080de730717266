import { describe, expect, test } from '@jest/globals'

import { coversName, parsePublicName } from '../../../appliance/tunnel/public-name.ts'
import {
  parseIngress,
  parseLoopbackAddress,
  parseQuickTunnel,
  parseReadiness,
} from '../../../appliance/tunnel/watch/readiness.ts'

const uuid = '11111111-2222-4333-8444-555555555555'

describe('parseLoopbackAddress', () => {
  test.each([
    ['127.0.0.1:43151', { host: '127.0.0.1', port: 43151 }],
    ['localhost:20241', { host: '127.0.0.1', port: 20241 }],
    ['[::1]:20241', { host: '::1', port: 20241 }],
    ['0.0.0.0:20241', undefined],
    ['[::]:20241', undefined],
    ['198.51.100.1:80', undefined],
    ['127.0.0.1:0', undefined],
    ['127.0.0.1:65536', undefined],
    ['127.0.0.1:80@198.51.100.1:80', undefined],
    ['127.0.0.1', undefined],
  ])('%s', (text, address) => {
    expect(parseLoopbackAddress(text)).toEqual(address)
  })
})

describe('parseReadiness', () => {
  test.each([
    [`{"status":200,"readyConnections":2,"connectorId":"${uuid}"}`, { connections: 2, connectorId: uuid }],
    ['{"status":503,"readyConnections":0,"connectorId":"<script>"}', { connections: 0, connectorId: undefined }],
    ['{"readyConnections":-1}', undefined],
    ['{"readyConnections":1.5}', undefined],
    ['{"readyConnections":1e9}', undefined],
    ['{"readyConnections":"4"}', undefined],
    ['[]', undefined],
    ['null', undefined],
    ['', undefined],
    ['OK\n', undefined],
  ])('%s', (text, readiness) => {
    expect(parseReadiness(text)).toEqual(readiness)
  })
})

describe('parseQuickTunnel', () => {
  test.each([
    ['{"hostname":"words.trycloudflare.com"}', 'words.trycloudflare.com'],
    ['{"hostname":""}', undefined],
    ['{"hostname":"a.b/\\u001b[2J"}', undefined],
    ['{"hostname":7}', undefined],
    ['nothing', undefined],
  ])('%s', (text, hostname) => {
    expect(parseQuickTunnel(text)).toBe(hostname)
  })
})

describe('parseIngress', () => {
  test('takes hostnames in their order, and whatever else is there for nothing', () => {
    const rules = [
      { hostname: 'a.example.com' },
      { hostname: '' },
      { hostname: 7 },
      null,
      'x',
      { hostname: '*.example.com' },
      { service: 'http_status:404' },
    ]
    expect(parseIngress(JSON.stringify({ version: 3, config: { ingress: rules } }))).toEqual({
      version: 3,
      hostnames: ['a.example.com', '*.example.com'],
    })
  })

  test.each(['{}', '{"version":"3"}', 'x'])('refuses %s', (text) => {
    expect(parseIngress(text)).toBeUndefined()
  })

  test.each(['{"version":-1}', '{"version":-1,"config":null}', '{"version":-1,"config":{"ingress":{}}}'])(
    'takes %s as no rules',
    (text) => {
      expect(parseIngress(text)).toEqual({ version: -1, hostnames: [] })
    },
  )
})

test.each([
  ['Cache.Example.com', 'cache.example.com'],
  ['cache', undefined],
  ['10.0.0.1', undefined],
  ['-a.example.com', undefined],
  ['a..example.com', undefined],
  ['a.example.com:80', undefined],
  ['*.example.com', undefined],
  [`${'a'.repeat(64)}.com`, undefined],
  [undefined, undefined],
])('parsePublicName of %s', (text, name) => {
  expect(parsePublicName(text)).toBe(name)
})

test.each([
  ['cache.example.com', 'cache.example.com', true],
  ['Cache.example.com', 'cache.example.com', true],
  ['*.example.com', 'cache.example.com', true],
  ['*.example.com', 'example.com', false],
  ['*.example.com', 'evilexample.com', false],
  ['other.example.com', 'cache.example.com', false],
])('coversName(%s, %s) is %s', (pattern, name, isCovered) => {
  expect(coversName(pattern, name)).toBe(isCovered)
})
