import { describe, expect, test } from '@jest/globals'

import { type Facts, hostnameOf, judge, type Wanted } from '../../../appliance/tunnel/explain/judgement.ts'

const wanted: Wanted = { mode: 'token', protocol: 'http2', extraArgs: [], hostname: undefined }
const fresh: Facts = {
  connections: 0,
  best: 0,
  isShort: false,
  misses: 0,
  problem: undefined,
  complaints: 0,
  refusedLogin: undefined,
  ingress: undefined,
}
const up: Facts = { ...fresh, connections: 4, best: 4 }
const unreachable = { kind: 'unreachable', cause: 'i/o timeout' } as const

describe('judge', () => {
  test.each([
    ['just started', fresh, 'starting', /connecting to the edge/],
    ['started and silent', { ...fresh, misses: 3 }, 'starting', /does not answer: 3 times/],
    ['connected', up, 'connected', /^4 connections/],
    ['connected once', { ...up, connections: 1, best: 1 }, 'connected', /^1 connection to/],
    ['one redialled', { ...up, connections: 3 }, 'connected', /^3 connections/],
    ['fewer for long', { ...up, connections: 3, isShort: true }, 'degraded', /^3 of 4 connections/],
    ['two late answers', { ...up, misses: 2 }, 'connected', /4 connections/],
    ['three late answers', { ...up, misses: 3 }, 'degraded', /does not answer/],
    ['all lost', { ...up, connections: 0 }, 'reconnecting', /all connections to the edge are lost/],
    ['all lost and silent', { ...up, connections: 0, misses: 4 }, 'reconnecting', /does not answer/],
    [
      'token rotated',
      { ...up, refusedLogin: { kind: 'unauthorized', cause: 'Unauthorized: x' } },
      'degraded',
      /refuses the token: Unauthorized: x; 4 connections made earlier/,
    ],
    [
      'edge away at start',
      { ...fresh, problem: unreachable, complaints: 1 },
      'starting',
      /cannot be reached: i\/o timeout/,
    ],
    [
      'edge away',
      { ...up, connections: 0, problem: unreachable, complaints: 3 },
      'reconnecting',
      /lost.*cannot be reached/,
    ],
  ] as const)('%s', (_, facts, state, reason) => {
    expect(judge(facts, wanted)).toMatchObject({ state, reason: expect.stringMatching(reason) })
  })

  test('speaks of the firewall only when dialling has failed more than once or twice', () => {
    expect(judge({ ...fresh, problem: unreachable, complaints: 2 }, wanted).remedy).toBeUndefined()
    expect(judge({ ...fresh, problem: unreachable, complaints: 3 }, wanted).remedy).toContain('7844')
  })

  test.each([
    ['by the edge, without ours', { version: 0, hostnames: ['other.example.com'] }, 'degraded'],
    ['by the edge, with ours', { version: 0, hostnames: ['other.example.com', 'cache.example.com'] }, 'connected'],
    ['by the edge, with a wildcard', { version: 2, hostnames: ['*.example.com'] }, 'connected'],
    ['by us', { version: -1, hostnames: [] }, 'connected'],
  ] as const)('ingress rules %s: %s', (_, ingress, state) => {
    expect(judge({ ...up, ingress }, { ...wanted, hostname: 'cache.example.com' }).state).toBe(state)
  })

  test('does not mind what the rules name when no hostname is wanted', () => {
    expect(judge({ ...up, ingress: { version: 1, hostnames: [] } }, wanted).state).toBe('connected')
  })
})

test('hostnameOf takes the first rule that names a host', () => {
  expect(hostnameOf({ version: 1, hostnames: ['*.example.com', 'not a name', 'b.example.com', 'c.example.com'] })).toBe(
    'b.example.com',
  )
  expect(hostnameOf({ version: 1, hostnames: ['*.example.com'] })).toBeUndefined()
})
