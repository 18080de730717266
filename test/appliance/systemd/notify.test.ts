import { once } from 'node:events'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { describe, expect, test } from '@jest/globals'

import { findNotifier } from '../../../appliance/systemd/notify.ts'
import { createServiceManager, formatStatusLine } from '../../../appliance/systemd/service-manager.ts'
import { nothingKnown, type TunnelStatus } from '../../../appliance/tunnel/tunnel.ts'
import { silentLog } from '../../../src/index.ts'
import { createScratchDir } from '../scratch-dir.ts'
import { testWith } from './has-systemd.ts'
import { openReceiver } from './receiver.ts'

const testWithNotify = testWith('systemd-notify', 'perl')
const { PATH = '' } = process.env

function createMemoryLog() {
  const lines: string[] = []
  const write = (level: string) => (fields: object, message: string) =>
    void lines.push(`${level} ${message} ${JSON.stringify(fields)}`)
  return {
    lines,
    log: { ...silentLog, debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') },
  }
}

const off: TunnelStatus = { ...nothingKnown, state: 'off', since: new Date(0), reason: 'no tunnel is configured' }
const connected: TunnelStatus = {
  ...off,
  state: 'connected',
  mode: 'token',
  connections: 4,
  hostname: 'cache.example.org',
}

describe('findNotifier', () => {
  test('findNotifier finds nobody without $NOTIFY_SOCKET', () => {
    expect([findNotifier({ PATH }, silentLog), findNotifier({ PATH, NOTIFY_SOCKET: '' }, silentLog)]).toEqual([
      undefined,
      undefined,
    ])
  })

  testWithNotify('send delivers one message after the other, and a line break begins no assignment', async () => {
    await using dir = await createScratchDir()
    await using receiver = await openReceiver(dir.file('notify'))
    const notifier = findNotifier({ PATH, NOTIFY_SOCKET: receiver.socket }, silentLog)!
    for (let n = 0; n < 3; n++) void notifier.send(`STATUS=${n}`)
    await notifier.send('READY=1', 'STATUS=bad\nSTOPPING=1\u0000x')
    expect(await receiver.received(4)).toEqual(['STATUS=0', 'STATUS=1', 'STATUS=2', 'READY=1|STATUS=bad STOPPING=1 x'])
  })

  test('send hands nothing of our environment to the child but PATH and the socket', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('systemd-notify'), `#!/bin/sh\nexec /usr/bin/env > "${dir.file('seen')}"\n`)
    await chmod(dir.file('systemd-notify'), 0o755)
    await findNotifier(
      { PATH: dir.path, NOTIFY_SOCKET: '/run/systemd/notify', CI_PASSWORD: 'secret' },
      silentLog,
    )!.send('READY=1')
    const names = (await readFile(dir.file('seen'), 'utf8')).match(/^\w+(?==)/gm)
    // A shell sets PWD by itself.
    expect(names?.filter((name) => !['PWD', '_', 'SHLVL', 'OLDPWD'].includes(name)).sort()).toEqual([
      'NOTIFY_SOCKET',
      'PATH',
    ])
  })

  test('send says once what keeps it from telling systemd, and never rejects', async () => {
    await using dir = await createScratchDir()
    const { lines, log } = createMemoryLog()
    const notifier = findNotifier({ PATH: dir.path, NOTIFY_SOCKET: dir.file('nobody') }, log)!
    await notifier.send('READY=1')
    await notifier.send('WATCHDOG=1')
    expect(lines).toEqual([
      expect.stringMatching(/^error Cannot notify systemd: systemd-notify is not on PATH; install/),
    ])
  })
})

describe('createServiceManager', () => {
  /** Accepts, and says nothing before it is told to. */
  async function openHeldServer() {
    const held: Socket[] = []
    let isOpen = false
    const server: Server = createServer((socket) => {
      socket.on('error', () => {}).resume()
      if (isOpen) socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
      else held.push(socket)
      server.emit('held')
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    return {
      server,
      address: { kind: 'tcp', host: '127.0.0.1', port } as const,
      open() {
        isOpen = true
        for (const socket of held) socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
      },
      [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
    }
  }

  testWithNotify(
    'begin says READY=1 only when the listener has answered; reload and stop are told in their order',
    async () => {
      await using dir = await createScratchDir()
      await using receiver = await openReceiver(dir.file('notify'))
      await using held = await openHeldServer()
      const manager = createServiceManager({
        env: { PATH, NOTIFY_SOCKET: receiver.socket },
        pid: 1,
        log: silentLog,
        monotonicMicros: () => 42n,
      })
      const asked = once(held.server, 'held')
      const begun = manager.begin(held.address)
      await asked
      expect(receiver.messages).toEqual([])
      held.open()
      await begun
      const serving = `STATUS=Serving on 127.0.0.1:${held.address.port}`
      expect(await receiver.received(1)).toEqual([`READY=1|${serving}`])

      const first = Promise.withResolvers<void>()
      const reloads = [manager.reload(() => first.promise), manager.reload(async () => {})]
      await reloads[1]
      first.resolve()
      await reloads[0]
      manager.tellTunnel(connected)
      expect((await receiver.received(4)).slice(1)).toEqual([
        'RELOADING=1|MONOTONIC_USEC=42',
        `READY=1|${serving}`,
        `${serving}; tunnel connected (4 connections): https://cache.example.org`,
      ])

      manager.beginStop()
      await manager.reload(async () => {})
      manager.tellTunnel(off)
      expect((await receiver.received(5)).at(-1)).toBe('STOPPING=1|STATUS=Stopping: running requests may finish')
      expect(receiver.messages).toHaveLength(5)
    },
  )

  testWithNotify('a reload that fails ends for systemd too', async () => {
    await using dir = await createScratchDir()
    await using receiver = await openReceiver(dir.file('notify'))
    const manager = createServiceManager({ env: { PATH, NOTIFY_SOCKET: receiver.socket }, pid: 1, log: silentLog })
    await expect(manager.reload(() => Promise.reject(new Error('bug')))).rejects.toThrow('bug')
    expect(await receiver.received(2)).toEqual(['RELOADING=1', 'READY=1|STATUS=Starting'])
  })

  testWithNotify('the watchdog is told while the listener answers, for this process alone', async () => {
    await using dir = await createScratchDir()
    await using receiver = await openReceiver(dir.file('notify'))
    await using held = await openHeldServer()
    held.open()
    const env = { PATH, NOTIFY_SOCKET: receiver.socket, WATCHDOG_USEC: '60000000', WATCHDOG_PID: '7' }
    const rounds: [number, () => void][] = []
    const after = (ms: number, callback: () => void) => {
      rounds.push([ms, callback])
      return () => {}
    }
    await createServiceManager({ env, pid: 8, log: silentLog, after }).begin(held.address)
    expect(rounds).toEqual([])
    await createServiceManager({ env, pid: 7, log: silentLog, after }).begin(held.address)
    await receiver.received(3)
    expect(rounds.map(([ms]) => ms)).toEqual([30_000])
    rounds[0]![1]()
    expect((await receiver.received(4)).slice(2)).toEqual(['WATCHDOG=1', 'WATCHDOG=1'])
  })

  test('outside of systemd nothing is asked and nothing told', async () => {
    const manager = createServiceManager({ env: { PATH }, pid: 1, log: silentLog })
    await manager.begin({ kind: 'tcp', host: '127.0.0.1', port: 1 })
    let isReloaded = false
    await manager.reload(async () => {
      isReloaded = true
    })
    manager.beginStop()
    expect(isReloaded).toBe(true)
  })
})

test('formatStatusLine tells where it serves, and the state of the tunnel', () => {
  const address = { kind: 'unix', path: '/run/burrow/s.sock' } as const
  expect(formatStatusLine(address, undefined)).toBe('Serving on unix:/run/burrow/s.sock')
  expect(formatStatusLine(address, off)).toBe('Serving on unix:/run/burrow/s.sock')
  expect(
    formatStatusLine(address, { ...connected, state: 'failed', connections: 0, reason: 'the edge refuses the token' }),
  ).toMatch(/; tunnel failed: the edge refuses the token$/)
})
