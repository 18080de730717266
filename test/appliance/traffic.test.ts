import { describe, expect, test } from '@jest/globals'
import { pino } from 'pino'

import { createTraffic, type RequestLog } from '../../appliance/log/traffic.ts'
import type { Exchange } from '../../src/index.ts'

const exchange: Exchange = {
  route: 'nar',
  method: 'GET',
  target: '/nar/x',
  status: 200,
  user: 'ben',
  attemptedUser: undefined,
  storePath: '/nix/store/6f90lrmaxn2bybp9ffarwvdipidnqf78-thing-1.0',
  servedFrom: 'larder',
  address: '::1',
  ray: undefined,
  bytes: 5_000_000,
  durationMs: 50,
  isComplete: true,
}

function openTraffic(level = 'debug', requests?: RequestLog) {
  const lines: Record<string, unknown>[] = []
  const log = pino(
    { level, base: null, timestamp: false, formatters: { level: (label) => ({ level: label }) } },
    { write: (line) => lines.push(JSON.parse(line)) },
  )
  const timers: { ms: number; callback: () => void }[] = []
  const traffic = createTraffic(
    log,
    undefined,
    (ms, callback) => {
      const timer = { ms, callback }
      timers.push(timer)
      return () => void timers.splice(timers.indexOf(timer), 1)
    },
    requests,
  )
  return {
    traffic,
    lines,
    timers,
    report: (change: Partial<Exchange> = {}) => traffic.observer.exchanged({ ...exchange, ...change }),
  }
}

describe('createTraffic', () => {
  test('tells who fetched which large NAR, how fast, with the CF-Ray', () => {
    const { report, lines } = openTraffic()
    report({ ray: '7c1-FRA' })
    expect(lines).toEqual([
      {
        level: 'info',
        route: 'nar',
        name: 'thing-1.0',
        servedFrom: 'larder',
        method: 'GET',
        target: '/nar/x',
        status: 200,
        user: 'ben',
        address: '::1',
        ray: '7c1-FRA',
        bytes: 5_000_000,
        ms: 50,
        mbPerSecond: 100,
        isComplete: true,
        msg: 'Sent a NAR',
      },
    ])
  })

  test.each<[Partial<Exchange>, string, string]>([
    [{ route: 'narinfo' }, 'debug', 'Answered'],
    [{ status: 404 }, 'debug', 'Answered'],
    [{ isComplete: false }, 'info', 'A reply was interrupted'],
    [{ isComplete: false, bytes: 1000 }, 'debug', 'A reply was interrupted'],
    [{ status: 304, bytes: 0 }, 'debug', 'Answered'],
    [{ status: 503, bytes: 20 }, 'debug', 'Answered'],
    [{ route: 'narinfo', status: 401 }, 'debug', 'Refused a login'],
    [{ bytes: 1000 }, 'debug', 'Sent a NAR'],
  ])('tells %j at level %s', (change, level, msg) => {
    const { report, lines } = openTraffic()
    report(change)
    expect(lines).toEqual([expect.objectContaining({ level, msg })])
  })

  test('sums small NARs up by client, and tells the sums after a while', () => {
    const { report, lines, timers } = openTraffic('info')
    report({ bytes: 1000, ray: '7c1-FRA' })
    report({ bytes: 500, route: 'nar-compressed', ray: '7c2-FRA' })
    report({ bytes: 7, user: 'ana' })
    report({ bytes: 9, isComplete: false })
    report({ bytes: 9, route: 'narinfo' })
    expect(lines).toEqual([])
    expect(timers).toHaveLength(1)
    timers[0]!.callback()
    expect(lines).toEqual([
      {
        level: 'info',
        user: 'ben',
        address: '::1',
        ray: '7c1-FRA',
        nars: 2,
        bytes: 1509,
        cut: 1,
        msg: 'Sent small NARs',
      },
      { level: 'info', user: 'ana', address: '::1', nars: 1, bytes: 7, cut: 0, msg: 'Sent small NARs' },
    ])
    report({ bytes: 1 })
    expect(timers).toHaveLength(1)
  })

  test('sums refused logins up by address, without a word of what was sent', () => {
    const { report, lines, timers } = openTraffic('info')
    report({ status: 401, user: undefined, route: 'other', target: '/hostile' })
    report({ status: 429, user: undefined, route: 'other', target: '/hostile' })
    timers[0]!.callback()
    expect(lines).toEqual([{ level: 'info', address: '::1', refused: 2, attemptedUsers: [], msg: 'Refused logins' }])
  })

  test('sums up by client whom it could not serve in time', () => {
    const { report, lines, timers } = openTraffic('info')
    report({ status: 503, bytes: 20, ray: '7c1-FRA' })
    report({ status: 503, bytes: 20, isComplete: false })
    timers[0]!.callback()
    expect(lines).toEqual([
      {
        level: 'info',
        user: 'ben',
        address: '::1',
        ray: '7c1-FRA',
        postponed: 2,
        msg: 'Asked a client to retry later',
      },
    ])
  })

  test('sums up by user what was pushed, and what was refused, with the reasons', () => {
    const { traffic, report, lines, timers } = openTraffic('info')
    const push = { receivedBytes: 0, registered: 0, refused: 0, refusal: undefined }
    const put = { route: 'push', method: 'PUT', bytes: 0, user: 'ci', storePath: undefined } as const
    report({ ...put, push: { ...push, receivedBytes: 1000 } })
    report({ ...put, push: { ...push, receivedBytes: 200, registered: 3, refused: 1, refusal: 'the disk is full' } })
    report({ ...put, status: 413, push: { ...push, refused: 1, refusal: 'the disk is full' } })
    report({ ...put, method: 'GET', push })
    report({ ...put, user: 'ana', push: { ...push, registered: 1, receivedBytes: 5 } })
    timers[0]!.callback()
    expect(lines).toEqual([
      { level: 'info', user: 'ci', address: '::1', paths: 3, receivedBytes: 1200, msg: 'Received a push' },
      {
        level: 'warn',
        user: 'ci',
        address: '::1',
        paths: 2,
        reasons: ['the disk is full'],
        msg: 'Refused a push or a part of it',
      },
      { level: 'info', user: 'ana', address: '::1', paths: 1, receivedBytes: 5, msg: 'Received a push' },
    ])
    expect(traffic.totals).toMatchObject({ pushedPaths: 4, receivedBytes: 1205 })
  })

  test.each<[Partial<Exchange>, string]>([
    [{ route: 'narinfo', bytes: 700 }, 'Answered'],
    [{ bytes: 1000 }, 'Sent a NAR'],
    [{ status: 401, user: undefined, bytes: 13, route: 'other' }, 'Refused a login'],
    [{ isComplete: false }, 'A reply was interrupted'],
  ])('tells each request at level info when asked to: %j', (change, msg) => {
    const { report, lines, timers } = openTraffic('info', 'each')
    report({ ray: '7c1-FRA', ...change })
    expect(lines).toHaveLength(1)
    const { level, ray, address, method, target, status, bytes, ms, isComplete } = lines[0]!
    const expected = { ...exchange, ...change }
    expect({
      level,
      ray,
      address,
      method,
      target,
      status,
      bytes,
      ms,
      isComplete,
      msg: lines[0]!.msg,
      user: lines[0]!.user,
    }).toEqual({
      level: 'info',
      ray: '7c1-FRA',
      address: '::1',
      method: 'GET',
      target: '/nar/x',
      status: expected.status,
      bytes: expected.bytes,
      ms: 50,
      isComplete: expected.isComplete,
      msg,
      user: expected.user,
    })
    expect(timers).toEqual([])
  })

  test('counts requests and bytes in all', () => {
    const { traffic, report } = openTraffic()
    report()
    report({ route: 'narinfo', bytes: 700 })
    expect(traffic.totals).toEqual({ requests: 2, bytes: 5_000_700, pushedPaths: 0, receivedBytes: 0 })
  })

  test('tells what is left when it ends', () => {
    const { traffic, report, lines, timers } = openTraffic('info')
    report({ bytes: 1000 })
    traffic[Symbol.dispose]()
    expect(lines).toHaveLength(1)
    expect(timers).toEqual([])
  })

  test('tells early when there are very many clients', () => {
    const { report, lines } = openTraffic('info')
    for (let client = 0; client <= 1000; client++)
      report({ bytes: 1, address: `198.51.${client >> 8}.${client & 255}` })
    expect(lines).toHaveLength(1000)
  })
})
