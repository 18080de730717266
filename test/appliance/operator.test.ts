import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { createMetrics, type Metrics } from '../../appliance/operator/metrics.ts'
import { createOperatorServer } from '../../appliance/operator/operator-server.ts'
import type { StatusReport } from '../../appliance/operator/status.ts'
import { type Listener, openListener } from '../../appliance/server/listener.ts'
import { type Exchange, silentLog } from '../../src/index.ts'
import { serve, writeConfig } from './burrow.ts'
import { sampleReport } from './sample-report.ts'
import { createScratchDir } from './scratch-dir.ts'

let listener: Listener
let impediment: string | undefined
let metrics: Metrics
let report: StatusReport | undefined = sampleReport

beforeAll(async () => {
  metrics = createMetrics('1.2.3')
  metrics.watch(() => ({
    transfersUnderWay: 7,
    transfersWaiting: 2,
    failedLogins: 1,
    answersAbsent: false,
    larder: undefined,
    stores: [
      {
        name: 'nix',
        type: 'nix',
        location: '/nix/store',
        isReadable: true,
        mode: 'live',
        problem: undefined,
        leases: { active: true, connections: 1, roots: 3, held: 0 },
        withdrawn: { now: 1, total: 2 },
      },
    ],
    tunnel: undefined,
  }))
  listener = await openListener(
    createOperatorServer({ findImpediment: () => impediment, readStatus: () => report, metrics, log: silentLog }),
    { kind: 'tcp', host: '127.0.0.1', port: 0 },
    { drainMs: 0 },
  )
})

afterAll(async () => {
  await listener[Symbol.asyncDispose]()
})

async function ask(path: string, { method = 'GET', host }: { method?: string; host?: string } = {}) {
  const [response] = (await once(
    request(new URL(path, listener.url), { method, ...(host === undefined ? {} : { headers: { host } }) }).end(),
    'response',
  )) as [IncomingMessage]
  return { status: response.statusCode, headers: response.headers, body: await text(response) }
}

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

describe('the operator listener', () => {
  test('healthz says that the program lives', async () => {
    expect(await ask('/healthz')).toMatchObject({ status: 200, body: 'ok\n' })
  })

  test('readyz says whether it can serve, and else why not, and tells the tunnel', async () => {
    expect(await ask('/readyz')).toMatchObject({ status: 200, body: 'ready\ntunnel: connected (4 connections)\n' })
    impediment = 'no store'
    expect(await ask('/readyz')).toMatchObject({ status: 503, body: 'no store\ntunnel: connected (4 connections)\n' })
    impediment = undefined
  })

  test('a tunnel that is down does not make it unready', async () => {
    report = { ...sampleReport, tunnel: { ...sampleReport.tunnel, state: 'failed', connections: 0 } }
    expect(await ask('/readyz')).toMatchObject({ status: 200, body: 'ready\ntunnel: failed\n' })
    report = sampleReport
  })

  test('status tells everything, and before the start is over that it is not', async () => {
    const { status, headers, body } = await ask('/status')
    expect({ status, type: headers['content-type'], cache: headers['cache-control'] }).toEqual({
      status: 200,
      type: 'application/json',
      cache: 'no-store',
    })
    expect(JSON.parse(body)).toEqual(JSON.parse(JSON.stringify(sampleReport)))
    report = undefined
    expect(await ask('/status')).toMatchObject({ status: 503, body: 'starting\n' })
    expect(await ask('/readyz')).toMatchObject({ status: 200, body: 'ready\n' })
    report = sampleReport
  })

  test('a web page elsewhere cannot read the status', async () => {
    expect((await ask('/status', { host: 'evil.example' })).status).toBe(421)
  })

  test('metrics tells traffic and state, and nothing that strangers sent', async () => {
    metrics.count(exchange)
    const { body, headers } = await ask('/metrics')
    expect(headers['content-type']).toContain('text/plain')
    for (const line of [
      'burrow_build_info{version="1.2.3"} 1',
      'burrow_requests_total{route="nar",status="200",complete="true"} 1',
      'burrow_sent_bytes_total{route="nar"} 5000000',
      'burrow_transfers 7',
      'burrow_store_withdrawn_paths{store="nix"} 1',
      'burrow_lease_roots{store="nix"} 3',
    ]) {
      expect(body).toContain(line)
    }
    expect(body).not.toMatch(/ben|nar\/x/)
  })

  test.each(['evil.example', 'evil.example:80', '127.0.0.1.evil.example', 'localhost.evil.example', '10.0.0.1'])(
    'a page that made %s point here reads nothing',
    async (host) => {
      expect(await ask('/metrics', { host })).toMatchObject({ status: 421, body: 'Misdirected Request\n' })
    },
  )

  test.each(['localhost', 'localhost:80', '127.0.0.1', '[::1]:8081'])('a Host of %s is this machine', async (host) => {
    expect((await ask('/healthz', { host })).status).toBe(200)
  })

  test('anything else is 404, and other methods are 405', async () => {
    expect(await ask('/')).toMatchObject({ status: 404, body: 'Not Found\n' })
    expect(await ask('/healthz', { method: 'POST' })).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } })
    expect(await ask('/healthz', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' })
  })
})

describe('the public listener', () => {
  test('tells nothing of what is for the operator, to strangers and to users alike', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, {
      users: ['ben:secret'],
      operator: '127.0.0.1:0',
      store: { realDir: dir.file('nix/store') },
    })
    await using served = await serve(dir)
    const operator = String((await served.logged(/Burrow is ready/)).operator)
    const ben = { Authorization: `Basic ${btoa('ben:secret')}` }
    for (const path of ['/healthz', '/readyz', '/metrics', '/depot/pins', '/team/users', '/usage?days=1']) {
      const fetchStatus = async (base: string, headers = {}) => (await fetch(new URL(path, base), { headers })).status
      const forBen = path.startsWith('/usage') ? 200 : 404
      expect([path, await fetchStatus(served.url), await fetchStatus(served.url, ben)]).toEqual([path, 401, forBen])
    }
    for (const path of ['/status', '/healthz', '/readyz', '/metrics'])
      expect([path, (await fetch(new URL(path, operator))).status]).not.toEqual([path, 404])
    // Users have a page of that name.
    expect((await fetch(new URL('/status', served.url))).status).toBe(401)
    const page = await fetch(new URL('/status', served.url), { headers: ben })
    const body = await page.text()
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
    expect(body).not.toContain(dir.path)
    expect(body).not.toMatch(/127\.0\.0\.1:\d+|"pid"/)
  })
})
