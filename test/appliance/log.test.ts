import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from '@jest/globals'

import { createLog } from '../../appliance/log/log.ts'
import { formatLogLine } from '../../appliance/log/log-line.ts'

function openLog(format: 'auto' | 'json' | 'pretty', isTTY = false, level: 'debug' | 'info' | 'silent' = 'info') {
  const output = Object.assign(new PassThrough(), { isTTY })
  const log = createLog({ level, format }, output)
  return { log, written: () => String(output.read() ?? '') }
}

describe('createLog', () => {
  test('createLog writes JSON lines where nobody watches, and lines for people at a terminal', () => {
    for (const [format, isTTY, isJson] of [
      ['auto', false, true],
      ['auto', true, false],
      ['json', true, true],
      ['pretty', false, false],
    ] as const) {
      const { log, written } = openLog(format, isTTY)
      log.info({ n: 1 }, 'Hello')
      expect(written().startsWith('{"level":"info","time":"')).toBe(isJson)
    }
  })

  test('createLog takes secrets out, wherever they stand', () => {
    const { log, written } = openLog('json')
    const secret = 'hunter2'
    log.info(
      {
        password: secret,
        authorization: secret,
        user: { password: secret },
        req: { headers: { authorization: secret, cookie: secret, 'proxy-authorization': secret } },
        config: { users: [{ password: secret, passwordHash: secret }] },
      },
      'x',
    )
    const line = written()
    expect(line).toContain('[secret]')
    expect(line).not.toContain(secret)
  })

  test('createLog keeps to its level, which can be changed', () => {
    const { log, written } = openLog('json')
    log.debug({}, 'one')
    log.level = 'debug'
    log.debug({}, 'two')
    expect(written()).toMatch(/^[^\n]*"msg":"two"\}\n$/)
  })

  test('createLog writes errors with their causes', () => {
    const { log, written } = openLog('pretty')
    log.error({ err: new Error('Cannot a', { cause: new Error('because b') }) }, 'Failed')
    expect(written()).toMatch(/ERROR Failed\n {4}Error: Cannot a[\s\S]*caused by: Error: because b/)
  })
})

describe('formatLogLine', () => {
  const line = (fields: object) =>
    formatLogLine(JSON.stringify({ level: 'warn', time: '2030-01-02T03:04:05.006Z', msg: 'Slow', ...fields }), {
      isColoured: false,
    })

  test('formatLogLine writes time, level, message and fields', () => {
    expect(line({ path: '/nix/store', ms: 12, list: [1], text: 'two words' })).toMatch(
      /^\d\d:\d\d:05\.006 WARN {2}Slow {2}path=\/nix\/store ms=12 list=\[1\] text="two words"\n$/,
    )
  })

  test('formatLogLine shows control characters of strangers instead of obeying them', () => {
    const text = line({ target: '/\u001b[2J\u0007\r\n\u009b31m\u2028', msg: 'Slow\u001b[31m\nfaked line' })
    expect(text.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028]/)
    expect(text).toContain('\\u001b')
  })

  test.each([
    ['C0', '\u0007', '\\u0007'],
    ['C1', '\u0085', '\\u0085'],
    ['C1, CSI', '\u009b', '\\u009b'],
    ['right-to-left override', '\u202e', '\\u202e'],
    ['bidi isolate', '\u2066', '\\u2066'],
    ['zero width space', '\u200b', '\\u200b'],
    ['byte order mark', '\ufeff', '\\ufeff'],
    ['line separator', '\u2028', '\\u2028'],
    ['paragraph separator', '\u2029', '\\u2029'],
    ['language tag', '\u{e0001}', '\\u{e0001}'],
  ])('formatLogLine escapes %s in messages, fields and stack traces', (_name, character, escaped) => {
    const text = line({ msg: `a${character}b`, target: `c${character}d`, err: { stack: `Error: e${character}f` } })
    expect(text).not.toContain(character)
    expect(text).toContain(`a${escaped}b`)
    expect(text).toContain(`Error: e${escaped}f`)
    expect(text).toMatch(/target="c\\+[u\w{}]+d"/)
  })

  test('formatLogLine passes on what is no record', () => {
    expect(formatLogLine('plain', { isColoured: true })).toBe('plain\n')
    expect(formatLogLine('3\n', { isColoured: true })).toBe('3\n')
  })
})

test.each(['json', 'pretty'] as const)(
  'each line for the journal begins with the priority of its level (%s)',
  async (format) => {
    const output = Object.assign(new PassThrough(), { isJournal: true })
    const log = createLog({ level: 'debug', format }, output)
    log.debug({}, 'a')
    log.info({}, 'b')
    log.warn({}, 'c')
    log.error({ err: new Error('d') }, 'd')
    log.fatal({}, 'e')
    output.end()
    const lines = (await text(output)).trimEnd().split('\n')
    expect([...new Set(lines.map((line) => line.slice(0, 3)))]).toEqual(['<7>', '<6>', '<4>', '<3>', '<2>'])
    if (format === 'json') expect(lines.map((line) => JSON.parse(line.slice(3)).msg)).toEqual(['a', 'b', 'c', 'd', 'e'])
  },
)
