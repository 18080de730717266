import { describe, expect, test } from '@jest/globals'
import { decisive, findNews, type News } from '../../../appliance/tunnel/explain/news.ts'
import { levelOf } from '../../../appliance/tunnel/watch/line-levels.ts'
import { parseLine } from '../../../appliance/tunnel/watch/log-lines.ts'

const json = (fields: object) => JSON.stringify({ level: 'info', time: '2026-11-22T16:53:24Z', ...fields })
const up = { isStopping: false, connections: 2 }
const down = { isStopping: false, connections: 0 }
const stopping = { isStopping: true, connections: 4 }

describe('parseLine', () => {
  test('reads level, message, error and the other fields of a JSON line', () => {
    expect(parseLine(json({ level: 'fatal', message: 'a', error: 'b', connIndex: 0 }))).toEqual({
      level: 'error',
      message: 'a',
      error: 'b',
      fields: { connIndex: 0 },
      isBare: false,
    })
  })

  test('reads the same of a line for people', () => {
    expect(
      parseLine(
        '2026-11-22T16:53:24Z ERR Serve tunnel error error="connection \\"with\\" edge closed" connIndex=0 ip=198.51.100.1',
      ),
    ).toEqual({
      level: 'error',
      message: 'Serve tunnel error',
      error: 'connection "with" edge closed',
      fields: { connIndex: '0', ip: '198.51.100.1' },
      isBare: false,
    })
  })

  test('takes a line without a message, in either form', () => {
    expect(parseLine(json({ level: 'error', error: 'b' }))).toMatchObject({ message: '', error: 'b' })
    expect(parseLine('2026-11-22T16:53:24Z ERR error=b connIndex=1')).toMatchObject({
      message: '',
      error: 'b',
      fields: { connIndex: '1' },
    })
  })

  test.each([
    'goroutine 1 [running]:',
    '{',
    '{"a":1}',
    '[1]',
    'null',
    '2026/11/22 16:37:03 Unsolicited response',
    '{"level":"info"',
  ])('takes %s as bare', (text) => {
    expect(parseLine(text)).toMatchObject({ message: text, isBare: true })
  })

  test.each([null, 1, ['x'], { a: 1 }])('is not upset by a message that is %j', (message) => {
    expect(typeof parseLine(json({ message, error: message })).message).toBe('string')
  })
})

describe('findNews', () => {
  test.each([
    [
      { message: 'Starting metrics server on 127.0.0.1:43151/metrics' },
      { kind: 'metrics', address: '127.0.0.1:43151' },
    ],
    [{ message: 'Registered tunnel connection', connIndex: 0 }, { kind: 'registered' }],
    [{ message: 'Updated to new configuration', version: 3, config: '{}' }, { kind: 'new-config' }],
    [{ message: 'cloudflared has been updated', version: '1' }, { kind: 'updated' }],
    [
      { message: 'Starting tunnel', tunnelID: 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee' },
      { kind: 'tunnel-id', tunnelId: 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee' },
    ],
    [{ message: 'Starting tunnel', tunnelID: 'no id' }, undefined],
    [
      { message: 'Serve tunnel error', error: 'connection with edge closed' },
      { kind: 'closed', cause: 'connection with edge closed' },
    ],
    [{ message: 'Connection terminated', error: 'connection with edge closed' }, { kind: 'moved' }],
    ...(
      [
        ['tls: failed to verify certificate: x509: certificate signed by unknown authority', 'intercepted'],
        [
          'tls: failed to verify certificate: x509: certificate is valid for proxy.example.com, not h2.cftunnel.com',
          'intercepted',
        ],
        [
          'tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2020-01-01T00:00:00Z is before x',
          'wrong-clock',
        ],
      ] as const
    ).map(([error, kind]): [object, News] => {
      const cause = `TLS handshake with edge error: ${error}`
      return [
        { message: 'Unable to establish connection with Cloudflare edge', error: cause },
        { kind, cause },
      ]
    }),
    [{ message: 'Lost connection with the edge', connIndex: 1 }, { kind: 'moved' }],
    [
      { message: 'failed to serve incoming request', error: 'Unauthorized: Tunnel not found' },
      { kind: 'unauthorized', cause: 'Unauthorized: Tunnel not found' },
    ],
    [
      { message: 'Register tunnel error from server side', error: 'no such account' },
      { kind: 'refused', cause: 'no such account' },
    ],
    [
      { message: 'Register tunnel error from server side', error: 'rpc: connection closed' },
      { kind: 'closed', cause: 'rpc: connection closed' },
    ],
    [
      { message: 'Unable to establish connection with Cloudflare edge', error: 'DialContext error: x' },
      { kind: 'unreachable', cause: 'DialContext error: x' },
    ],
    [
      { message: 'Serve tunnel error', error: 'TLS handshake with edge error: x' },
      { kind: 'unreachable', cause: 'TLS handshake with edge error: x' },
    ],
    [
      { message: 'Failed to dial a quic connection', error: 'timeout' },
      { kind: 'unreachable', cause: 'timeout' },
    ],
    [
      { message: 'edge discovery: error looking up Cloudflare edge IPs: the DNS query failed' },
      { kind: 'dns', cause: 'edge discovery: error looking up Cloudflare edge IPs: the DNS query failed' },
    ],
    [
      {
        message: 'Error unmarshaling QuickTunnel response: error code: 1015',
        error: 'x',
        status_code: '429 Too Many Requests',
      },
      {
        kind: 'quick-refused',
        cause: 'Error unmarshaling QuickTunnel response: error code: 1015 (429 Too Many Requests)',
      },
    ],
    [{ message: 'Retrying connection in up to 2s' }, { kind: 'moved' }],
    [
      { message: 'Initiating graceful shutdown due to signal terminated ...' },
      { kind: 'signalled', signal: 'terminated' },
    ],
    [{ message: 'GOOS: linux' }, undefined],
    // A stranger chooses what path he asks for.
    [
      { message: 'Request failed', error: 'x', dest: 'https://a/Starting metrics server on 10.0.0.1:1/metrics' },
      undefined,
    ],
    [{ message: 'GET /Unauthorized: Registered tunnel connection' }, undefined],
  ])('%j', (fields, news) => {
    expect(findNews(parseLine(json(fields)))).toEqual(news)
  })

  test('a line that says where the metrics are, that a login was refused, or that a connection is there, is seen to be decisive unread', () => {
    for (const message of [
      'Starting metrics server on 127.0.0.1:1/metrics',
      'Registered tunnel connection',
      'Updated to new configuration',
      'Starting tunnel',
    ])
      expect(decisive.test(json({ message }))).toBe(true)
    expect(decisive.test(json({ message: 'x', error: 'Unauthorized: Tunnel not found' }))).toBe(true)
  })

  test('hands on no control characters', () => {
    expect(findNews(parseLine(json({ message: 'x', error: 'Unauthorized: \u001b[31mred\nnext\u202e' })))).toEqual({
      kind: 'unauthorized',
      cause: 'Unauthorized: [31mred next',
    })
  })
})

describe('levelOf', () => {
  test.each([
    ['info', { message: 'Registered tunnel connection' }, down],
    ['debug', { message: 'Settings: map[a:b]' }, down],
    ['debug', { message: 'Environmental variables map[a:b]' }, down],
    ['debug', { message: 'Cannot determine default configuration path. No file [config.yml]' }, down],
    ['debug', { level: 'warn', message: 'ICMP proxy feature is disabled', error: 'x' }, down],
    [
      'debug',
      {
        level: 'warn',
        message: 'The user running cloudflared process has a GID (group ID) that is not within ping_group_range',
        error: 'x',
      },
      down,
    ],
    [
      'debug',
      {
        level: 'error',
        error: 'Incoming request ended abruptly: context canceled',
        originService: 'unix:/x',
        event: 1,
      },
      up,
    ],
    [
      'debug',
      {
        level: 'error',
        message: 'failed to serve incoming request',
        error: 'Failed to proxy HTTP: Incoming request ended abruptly: context canceled',
      },
      up,
    ],
    [
      'debug',
      { level: 'error', message: 'failed to serve incoming request', error: 'Failed to proxy HTTP: unexpected EOF' },
      up,
    ],
    ['debug', { level: 'error', message: 'Please try the following things to diagnose this issue:' }, down],
    [
      'debug',
      { level: 'error', message: '  1. ensure that argotunnel.com is returning "origintunneld" service records.' },
      down,
    ],
    ['debug', { level: 'error', message: 'Error shutting down control stream', error: 'x' }, up],
    [
      'error',
      { level: 'error', message: 'failed to serve incoming request', error: 'context deadline exceeded' },
      down,
    ],
    [
      'error',
      { level: 'error', message: 'Serve tunnel error', error: 'connection with edge closed', connIndex: 0 },
      down,
    ],
    ['warn', { level: 'error', message: 'Serve tunnel error', error: 'connection with edge closed', connIndex: 0 }, up],
    [
      'error',
      { level: 'error', error: 'Unable to reach the origin service.', originService: 'unix:/x', connIndex: 0 },
      up,
    ],
    [
      'error',
      { level: 'error', error: 'Unable to reach the origin service.', originService: 'unix:/x', connIndex: 0 },
      stopping,
    ],
    ['debug', { level: 'error', message: 'no more connections active and exiting' }, stopping],
    ['error', { level: 'error', message: 'no more connections active and exiting' }, down],
    ['info', { message: 'Initiating graceful shutdown due to signal terminated ...' }, stopping],
    ['error', { level: 'fatal', message: 'x' }, up],
  ] as const)('is %s for %j with %j', (level, fields, circumstances) => {
    expect(levelOf(parseLine(json(fields)), circumstances)).toBe(level)
  })

  test('is warn for a bare line', () => {
    expect(levelOf(parseLine('goroutine 1 [running]:'), up)).toBe('warn')
    const goodbye = '2026/11/24 20:19:31 http2: received GOAWAY [FrameHeader GOAWAY len=8], starting graceful shutdown'
    expect(levelOf(parseLine(goodbye), up)).toBe('debug')
  })
})
