/** What becomes of a connector's output: relayed, redacted, bounded, and never in its way. */
import { expect, test } from '@jest/globals'
import type { News } from '../../../appliance/tunnel/explain/news.ts'
import { createLogRelay, type LogRelay } from '../../../appliance/tunnel/watch/log-relay.ts'
import { connectorFile } from './scripted-launch.ts'
import { startScripted } from './scripted-tunnel.ts'
import { TestClock } from './test-clock.ts'

const secret = 'c2VjcmV0LW9mLXRoZS10dW5uZWw='

function createRelay(logLevel: 'debug' | 'info' | 'warn' = 'info') {
  const clock = new TestClock()
  const logged: { level: string; fields: object; message: string }[] = []
  const news: News[] = []
  const at = (level: string) => (fields: object, message: string) => void logged.push({ level, fields, message })
  const relay: LogRelay = createLogRelay({
    log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    clock,
    logLevel,
    secrets: [secret],
    pid: () => 7,
    circumstances: () => ({ isStopping: false, connections: 0 }),
    onNews: (piece) => void news.push(piece),
    onBareLine() {},
    onError() {},
  })
  return { relay, clock, logged, news, take: (line: string) => relay.take(Buffer.from(line), 'stderr') }
}

const json = (fields: object) => JSON.stringify({ level: 'info', message: 'x', ...fields })

test('a line is logged with its fields under "connector", without its time', () => {
  const { take, logged } = createRelay()
  take(
    json({
      level: 'error',
      message: 'Serve tunnel error',
      error: 'closed',
      connIndex: 1,
      time: '2026-11-22T16:53:24Z',
    }),
  )
  expect(logged).toEqual([
    { level: 'error', fields: { connector: { pid: 7, connIndex: 1, error: 'closed' } }, message: 'Serve tunnel error' },
  ])
})

test.each([
  [json({ message: `it is ${secret}` })],
  [json({ error: `it is ${secret}`, level: 'error' })],
  [json({ other: { deep: [secret] } })],
  [json({ [secret]: 1 })],
  [json({ config: JSON.stringify({ token: secret }) })],
  [`bare ${secret}`],
  [`2026-11-22T16:53:24Z ERR x token=${secret}`],
  [json({ message: 'x', headers: { Authorization: ['Basic YW5hOmFiY2RlZg=='] } })],
  [json({ message: 'x', Cookie: 'YW5hOmFiY2RlZg==' })],
])('no secret is logged: %s', (line) => {
  const { take, logged } = createRelay('debug')
  take(line)
  expect(logged).toHaveLength(1)
  expect(JSON.stringify(logged)).not.toMatch(/c2VjcmV0|YW5hOmFi/)
  expect(JSON.stringify(logged)).toContain('[secret]')
})

test('no secret is told by a line that is read beyond what fits in the log', () => {
  const { take, logged, news } = createRelay()
  for (let line = 0; line < 400; line++) take(json({}))
  const before = logged.length
  take(json({ level: 'error', message: 'Register tunnel error from server side', error: `Unauthorized: ${secret}` }))
  expect(logged).toHaveLength(before)
  expect(news).toEqual([{ kind: 'unauthorized', cause: 'Unauthorized: [secret]' }])
})

test.each(['info', 'warn'] as const)('nothing below level %s is logged, and news are still told', (level) => {
  const { take, logged, news } = createRelay(level)
  take(json({ level: 'debug', message: 'GET / HTTP/1.1' }))
  take(json({ message: 'Starting metrics server on 127.0.0.1:1/metrics' }))
  expect(logged).toEqual([])
  expect(news).toEqual([{ kind: 'metrics', address: '127.0.0.1:1' }])
})

test('a flood is bounded, told of once a second with how much it was, and news in it are heard', () => {
  const { take, logged, news, clock, relay } = createRelay()
  const line = json({ level: 'error', message: 'Connection failed', error: 'refused', connIndex: 0 })
  for (let index = 0; index < 14_000; index++) take(line)
  take(json({ message: 'Registered tunnel connection', connIndex: 0 }))
  expect(logged).toHaveLength(300)
  expect(news).toEqual([{ kind: 'registered' }])
  clock.advance(1_000)
  expect(logged.at(-1)).toMatchObject({ level: 'warn', fields: { connector: { pid: 7, lines: 13_701 } } })
  for (let index = 0; index < 14_000; index++) take(line)
  expect(logged).toHaveLength(300 + 1 + 20)
  relay.end()
  expect(logged).toHaveLength(300 + 1 + 20 + 1)
  expect(clock.pending).toBe(0)
})

test('hostile fields are bounded in number and length, and change nothing about the record', () => {
  const { take, logged } = createRelay()
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`f${index}`, 'y'.repeat(20)]))
  take(`{"__proto__":{"polluted":1},"pid":1,${json({ ...many, message: 'z'.repeat(9_000) }).slice(1)}`)
  expect(JSON.stringify(logged).length).toBeLessThan(4_000)
  expect(Object.prototype).not.toHaveProperty('polluted')
})

test('a connector that floods is drained to its end, and is connected all the same', async () => {
  await using scripted = await startScripted('floods-stderr')
  await scripted.untilState('connected')
  expect(scripted.entries.length).toBeLessThan(400)
  await scripted.tunnel.stop()
  const leftOut = scripted.entries
    .map(({ fields }) => (fields.connector as { lines?: number } | undefined)?.lines ?? 0)
    .reduce((sum, lines) => sum + lines, 0)
  expect(leftOut).toBeGreaterThan(25_000)
})

test('a line of 8 MiB is cut and forgotten', async () => {
  await using scripted = await startScripted('writes-huge-lines')
  await scripted.untilState('connected')
  const huge = scripted.entries.filter(({ message }) => message.startsWith('xxx'))
  expect(huge.map(({ message }) => message.length)).toEqual([2_001])
})

test('a connector that writes lines for people is understood', async () => {
  await using scripted = await startScripted('speaks-no-json')
  expect((await scripted.untilState('connected')).connections).toBe(1)
  expect(scripted.entries.find(({ message }) => message === 'Registered tunnel connection')).toMatchObject({
    fields: { connector: { location: 'lhr01' } },
  })
})

test.each(['', '/usr/bin:/bin'])(
  'a connector gets the environment and the arguments of its launch and nothing else (setpriv on %j)',
  async (searchPath) => {
    await using scripted = await startScripted('prints-env', { parts: { searchPath } })
    await scripted.untilState('connected')
    const { fields } = scripted.entries.find(({ message }) => message === 'environment')!
    const { env, args } = fields.connector as { env: string; args: string }
    expect(
      Object.keys(JSON.parse(env))
        .filter((name) => name !== '__CF_USER_TEXT_ENCODING')
        .sort(),
    ).toEqual(['BURROW_TEST_LIFELINE', 'PATH'])
    expect(JSON.parse(args)).toEqual(['tunnel', '--config', '/nowhere/burrow-test/config.yml', 'run'])
    expect(scripted.tunnel.status.binary?.path).toBe(connectorFile('prints-env'))
  },
)
