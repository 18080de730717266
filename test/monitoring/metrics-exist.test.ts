/**
 * The dashboard and the alert rules against /metrics of the running program, in a configuration with every part:
 * depot, upstream, larder, Nix store. Each metric, label and label value that they name must exist there.
 */
import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { tunnelStates } from '../../appliance/operator/tunnel-states.ts'
import { runBurrow, type Served, serve, writeConfig } from '../appliance/burrow.ts'
import { createScratchDir, type ScratchDir } from '../appliance/scratch-dir.ts'
import { basic } from '../fixtures/cache.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { type Metric, parseExposition } from './exposition.ts'
import { listQueries, readDashboard, readRules } from './files.ts'
import { type Matcher, readUsage } from './promql.ts'

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure
let dir: ScratchDir
let served: Served
let metrics: ReadonlyMap<string, Metric>

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  closure = await store.buildClosure()
  dir = await createScratchDir()
  const { publicKey } = await nix.generateKey('upstream-1')
  await writeConfig(dir, {
    operator: '127.0.0.1:0',
    tunnel: 'off',
    users: [{ name: 'ci', password: 'a long secret', access: ['pull', 'push', 'admin'] }],
    store: { realDir: store.realStoreDir, stateDir: store.stateDir },
    upstreams: [{ url: 'http://127.0.0.1:9', publicKeys: [publicKey] }],
    log: { level: 'info' },
  })
  served = await serve(dir)
  const { operator } = await served.logged(/Burrow is ready/)
  await push()
  await makeTraffic()
  const response = await fetch(`${operator}/metrics`)
  metrics = parseExposition(await response.text())
}, 120_000)

afterAll(async () => {
  await served?.[Symbol.asyncDispose]()
  await dir?.[Symbol.asyncDispose]()
  await nix?.[Symbol.asyncDispose]()
})

/** The depot's series of users exist only after a push, of what the server's store lacks. */
async function push(): Promise<void> {
  const other = await nix.openStore()
  const pushed = await other.addFile('pushed', 'contents')
  await writeFile(dir.file('password'), 'a long secret\n', { mode: 0o600 })
  const env = {
    NIX_STATE_DIR: other.stateDir,
    BURROW_REAL_STORE_DIR: other.realStoreDir,
    BURROW_USER: 'ci',
    BURROW_PASSWORD_FILE: dir.file('password'),
  }
  expect(await runBurrow(['push', '--to', served.url, pushed], { cwd: dir.path, env })).toMatchObject({ code: 0 })
}

async function makeTraffic(): Promise<void> {
  const headers = { authorization: basic('ci', 'a long secret') }
  const hashPart = closure.app.slice('/nix/store/'.length).split('-')[0]
  const narInfo = await (await fetch(`${served.url}/${hashPart}.narinfo`, { headers })).text()
  const [, url] = /^URL: (.*)$/m.exec(narInfo)!
  expect((await (await fetch(`${served.url}/${url}`, { headers })).arrayBuffer()).byteLength).toBeGreaterThan(0)
}

/** Prometheus adds them to what it scrapes. */
const scrapeLabels = new Set(['job', 'instance'])
const scrapeMetrics = new Set(['up'])

/** Of what takes part in no test here: all values that the code can give. */
const knownValues: Readonly<Record<string, readonly string[]>> = {
  'burrow_tunnel_state.state': tunnelStates,
  'burrow_requests_total.status': ['500', '503'],
  'burrow_requests_total.complete': ['true', 'false'],
}

function findWrong(expression: string): string[] {
  const { metrics: used, groupingLabels } = readUsage(expression)
  const existing = used.flatMap(({ name }) => [...(metrics.get(name)?.labels.keys() ?? [])])
  return [
    ...used.flatMap(({ name, matchers }) => {
      if (scrapeMetrics.has(name)) return []
      const metric = metrics.get(name)
      return metric === undefined
        ? [`no metric ${name}`]
        : matchers.flatMap((matcher) => findWrongMatcher(name, metric, matcher))
    }),
    ...groupingLabels
      .filter((label) => !scrapeLabels.has(label) && !existing.includes(label))
      .map((label) => `no label ${label} of ${used.map(({ name }) => name).join(', ')}`),
  ]
}

function findWrongMatcher(name: string, { labels }: Metric, { label, operator, value }: Matcher): string[] {
  if (scrapeLabels.has(label)) return []
  const seen = labels.get(label)
  if (seen === undefined) return [`no label ${label} of ${name}`]
  const values = [...seen, ...(knownValues[`${name}.${label}`] ?? [])]
  // Each alternative must be a value, so that a misspelt one is found beside right ones.
  const alternatives = operator.includes('~') ? value.split('|') : [value]
  return alternatives
    .filter((alternative) => !values.some((one) => new RegExp(`^(?:${alternative})$`).test(one)))
    .map((alternative) => `no value ${alternative} of ${name}.${label}`)
}

/** On no panel, since another series says the same. */
const leftOut = [
  'burrow_answers_absent',
  'burrow_upstream_lookups_total',
  'burrow_store_withdrawals_total',
  'burrow_depot_unfinished_uploads',
  'burrow_depot_refused_today',
]

describe('what the monitoring reads is there', () => {
  test('/metrics has series with labels for routes, users, stores and states', () => {
    expect([...metrics.get('burrow_depot_pushed_today_bytes')!.labels.get('user')!]).toEqual(['ci'])
    expect([...metrics.get('burrow_requests_total')!.labels.get('route')!]).toEqual(
      expect.arrayContaining(['narinfo', 'push']),
    )
    expect(metrics.size).toBeGreaterThan(80)
  })

  test('every query of the dashboard', () => {
    const queries = listQueries(readDashboard())
    expect(queries.length).toBeGreaterThan(40)
    expect(queries.flatMap(({ title, expr }) => findWrong(expr).map((wrong) => `${title}: ${wrong}`))).toEqual([])
  })

  test('every alert rule', () => {
    const rules = readRules()
    expect(rules.length).toBeGreaterThan(20)
    expect(rules.flatMap(({ alert, expr }) => findWrong(expr).map((wrong) => `${alert}: ${wrong}`))).toEqual([])
  })

  test('every legend of the dashboard', () => {
    const wrong = readDashboard().panels.flatMap(({ title, targets = [] }) =>
      targets.flatMap(({ expr, legendFormat }) => {
        const { metrics: used, groupingLabels } = readUsage(expr)
        const labels = new Set([
          ...groupingLabels,
          ...used.flatMap(({ name }) => [...metrics.get(name)!.labels.keys()]),
        ])
        const named = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label!)
        return named.filter((label) => !scrapeLabels.has(label) && !labels.has(label)).map((one) => `${title}: ${one}`)
      }),
    )
    expect(wrong).toEqual([])
  })

  test('every metric of Burrow that is an alarm or a size is on the dashboard or in an alert', () => {
    const used = new Set(
      [...listQueries(readDashboard()), ...readRules()].flatMap(({ expr }) =>
        readUsage(expr).metrics.map(({ name }) => name),
      ),
    )
    const unused = [...metrics.keys()].filter(
      (name) => name.startsWith('burrow_') && !/_(?:sum|count)$/.test(name) && !used.has(name),
    )
    expect(unused).toEqual(leftOut)
  })
})

describe('the check itself', () => {
  test.each([
    ['sum(rate(burrow_requsts_total[5m]))', ['no metric burrow_requsts_total']],
    ['sum by (rute) (rate(burrow_requests_total[5m]))', ['no label rute of burrow_requests_total']],
    ['burrow_requests_total{rout="nar"}', ['no label rout of burrow_requests_total']],
    ['burrow_tunnel_state{state=~"failed|broken"}', ['no value broken of burrow_tunnel_state.state']],
    ['burrow_requests_total{route=~"nar.*",complete="false"} offset 15m > 0', []],
    ['histogram_quantile(0.5, sum by (le) (rate(burrow_request_seconds_bucket{route="narinfo"}[5m])))', []],
    ['burrow_larder_bytes / on (job, instance) group_left (version) burrow_build_info', []],
  ])('%s', (expression, wrong) => expect(findWrong(expression)).toEqual(wrong))
})
