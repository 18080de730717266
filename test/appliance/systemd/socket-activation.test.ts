import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from '@jest/globals'

import { findInheritedSocket } from '../../../appliance/systemd/socket-activation.ts'
import { createScratchDir } from '../scratch-dir.ts'
import { testWith } from './has-systemd.ts'
import { openHolder } from './holder.ts'

const testWithPerl = testWith('perl')

describe('findInheritedSocket', () => {
  test.each([
    ['nothing is passed', {}],
    ['it is passed to another process', { LISTEN_PID: '8', LISTEN_FDS: '1' }],
    ['there are none', { LISTEN_PID: '7', LISTEN_FDS: '0' }],
    ['the process is not named', { LISTEN_FDS: '1' }],
  ])('findInheritedSocket finds none when %s', (_why, env) => {
    expect(findInheritedSocket(env, 7)).toBeUndefined()
  })

  test('findInheritedSocket finds the one', () => {
    expect(findInheritedSocket({ LISTEN_PID: '7', LISTEN_FDS: '1', LISTEN_FDNAMES: 'burrow' }, 7)).toBe(3)
  })

  test.each([
    [
      { LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:b' },
      /there are 2 \(a, b\), but Burrow supports only one; keep one ListenStream=/,
    ],
    [{ LISTEN_PID: '7', LISTEN_FDS: 'one' }, /LISTEN_FDS "one"; unset them/],
    [{ LISTEN_PID: '0x7', LISTEN_FDS: '1' }, /LISTEN_PID is "0x7"/],
    [{ LISTEN_PID: '7', LISTEN_FDS: '-1' }, /LISTEN_FDS "-1"/],
  ])('findInheritedSocket refuses %j', (env, message) => {
    expect(() => findInheritedSocket(env, 7)).toThrow(message)
  })
})

describe('an inherited socket', () => {
  async function get(where: string, path = '/'): Promise<string> {
    const to = where.startsWith('/') ? { socketPath: where } : { host: '127.0.0.1', port: Number(where) }
    const [response] = (await once(request({ ...to, path, agent: new Agent() }).end(), 'response')) as [IncomingMessage]
    return await text(response)
  }
  const stop = (line: string) => process.kill(Number(line.split(' ')[0]), 'SIGTERM')

  testWithPerl('a connection made while nothing runs is answered after the start', async () => {
    await using holder = await openHolder('tcp', '127.0.0.1')
    const early = get(holder.where)
    const { line, exited } = await holder.start()
    expect(line).toMatch(new RegExp(`^\\d+ http://127\\.0\\.0\\.1:${holder.where} socket:\\[N\\]$`))
    expect(await early).toBe(`hello from ${line.split(' ')[0]}`)
    stop(line)
    expect(await exited).toBe('exited 0')
  })

  testWithPerl('of two processes one after the other a client that keeps asking sees no error', async () => {
    await using holder = await openHolder('tcp', '127.0.0.1')
    const answers = new Set<string>()
    let isOver = false
    const asking = (async () => {
      while (!isOver) answers.add(await get(holder.where))
    })()
    const lines: string[] = []
    for (let n = 0; n < 2; n++) {
      const { line, exited } = await holder.start()
      lines.push(`hello from ${line.split(' ')[0]}`)
      for (let i = 0; i < 20; i++) await get(holder.where)
      isOver = n === 1
      if (isOver) await asking
      stop(line)
      expect(await exited).toBe('exited 0')
    }
    expect([...answers].sort()).toEqual(lines.sort())
  })

  testWithPerl('a unix socket is taken over, told by its path, and stays for the next one', async () => {
    await using dir = await createScratchDir()
    await using holder = await openHolder('unix', dir.file('b.sock'))
    for (let n = 0; n < 2; n++) {
      const { line, exited } = await holder.start()
      expect(line).toContain(` unix:${dir.file('b.sock')} `)
      expect(await get(holder.where)).toMatch(/^hello/)
      stop(line)
      expect(await exited).toBe('exited 0')
    }
  })

  testWithPerl('child processes do not inherit the socket', async () => {
    await using holder = await openHolder('tcp', '127.0.0.1')
    const { line, exited } = await holder.start()
    expect(await get(holder.where, '/children')).toBe('not the socket')
    stop(line)
    await exited
  })

  testWithPerl('a socket that others can reach is refused, with exit code 78, before anybody is answered', async () => {
    await using holder = await openHolder('tcp', '0.0.0.0')
    const { line, exited } = await holder.start()
    expect(line).toBe(
      `Cannot use the socket that systemd passed: it is bound to "0.0.0.0:${holder.where}", which is not a loopback address; write ListenStream=127.0.0.1:${holder.where} in its socket unit`,
    )
    expect(await exited).toBe('exited 78')
  })

  testWithPerl('a socket of another kind, or without a name in the file system, is refused', async () => {
    await using datagram = await openHolder('datagram', '127.0.0.1')
    const first = await datagram.start()
    expect([first.line, await first.exited]).toEqual([
      expect.stringMatching(/not a listening stream socket\. Set ListenStream= and Accept=no/),
      'exited 78',
    ])
    await using abstract = await openHolder('abstract', `burrow-test-${process.pid}`)
    const second = await abstract.start()
    expect([second.line, await second.exited]).toEqual([
      expect.stringMatching(/no path in the file system/),
      'exited 78',
    ])
  })
})
