/**
 * The worker protocol over a socket: with the real nix-daemon, with daemons of other versions, and with what is none.
 */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { systemClock } from '../../src/clock.ts'
import { openDaemonConnection } from '../../src/daemon/daemon-connection.ts'
import { DaemonError } from '../../src/daemon/daemon-protocol.ts'
import { encodeInteger, encodeString, WireError } from '../../src/daemon/wire.ts'
import { type NixDaemon, type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { ManualClock } from '../manual-clock.ts'
import { last, readTempRoot, rooted, startScriptedDaemon } from './scripted-daemon.ts'

const path = '/nix/store/00000000000000000000000000000000-absent'
const timeoutMs = 20_000

const dial = (socketPath: string) => openDaemonConnection({ socketPath, clock: systemClock, timeoutMs })

describe('with the real nix-daemon', () => {
  let nix: NixFixture
  let store: ScratchStore
  let daemon: NixDaemon

  beforeAll(async () => {
    nix = await openNixFixture()
    store = await nix.openStore()
    daemon = await store.startDaemon()
  })
  afterAll(() => nix[Symbol.asyncDispose]())

  test('isValidPath tells present from absent', async () => {
    const present = await store.addFile('present', 'x')
    using connection = await dial(daemon.socket)
    expect(await connection.isValidPath(present, timeoutMs)).toBe(true)
    expect(await connection.isValidPath(path, timeoutMs)).toBe(false)
  })

  test('requests sent at once are answered each with its own answer', async () => {
    const present = await store.addFile('present', 'x')
    using connection = await dial(daemon.socket)
    const asked = Array.from({ length: 20 }, (_, index) =>
      connection.isValidPath(index % 2 ? present : path, timeoutMs),
    )
    expect(await Promise.all(asked)).toEqual(Array.from({ length: 20 }, (_, index) => index % 2 === 1))
  })

  test('addTempRoot succeeds for an absent path', async () => {
    using connection = await dial(daemon.socket)
    await connection.addTempRoot(path, timeoutMs)
  })

  test('addTempRoot passes on the refusal of a path outside the store', async () => {
    using connection = await dial(daemon.socket)
    await expect(connection.addTempRoot('/not/a/store/path', timeoutMs)).rejects.toThrow(DaemonError)
  })

  test('closed resolves when the daemon ends the connection', async () => {
    using connection = await dial(daemon.socket)
    await daemon.cutConnections()
    await connection.closed
    expect(connection.isOpen).toBe(false)
    await expect(connection.isValidPath(path, timeoutMs)).rejects.toThrow(WireError)
  })
})

test.each([10, 11, 14, 25, 26, 33, 34, 35, 37, 38, 50])(
  'the handshake succeeds with a daemon of version 1.%i',
  async (minor) => {
    await using daemon = await startScriptedDaemon(async ({ greet, reader, socket }) => {
      await greet(minor)
      await readTempRoot(reader)
      const line = [encodeInteger(0x6f6c6d67), encodeString('a line')]
      socket.write(Buffer.concat([...line, rooted]))
    })
    using connection = await dial(daemon.socketPath)
    await connection.addTempRoot(path, timeoutMs)
  },
)

test('openDaemonConnection refuses a daemon that is too old, or of another major version', async () => {
  for (const version of [(1 << 8) | 9, (2 << 8) | 38, 38]) {
    await using daemon = await startScriptedDaemon(async ({ socket }) => {
      socket.write(Buffer.concat([encodeInteger(0x6478696f), encodeInteger(version)]))
    })
    await expect(dial(daemon.socketPath)).rejects.toThrow('wanted 1.10 or later')
  }
})

test('openDaemonConnection passes on why the daemon refuses this user', async () => {
  await using daemon = await startScriptedDaemon(async ({ reader, socket }) => {
    await reader.readInteger()
    socket.write(Buffer.concat([encodeInteger(0x6478696f), encodeInteger((1 << 8) | 34)]))
    for (let count = 0; count < 3; count++) await reader.readInteger()
    const error = [
      encodeString('Error'),
      encodeInteger(0),
      encodeString('Error'),
      encodeString('user is not allowed'),
      encodeInteger(0),
      encodeInteger(0),
    ]
    socket.write(Buffer.concat([encodeString('2.8.0'), encodeInteger(0x63787470), ...error]))
  })
  await expect(dial(daemon.socketPath)).rejects.toThrow('user is not allowed')
})

test('an error of the daemon leaves the connection usable', async () => {
  await using daemon = await startScriptedDaemon(async ({ greet, reader, socket }) => {
    await greet(25)
    await readTempRoot(reader)
    socket.write(Buffer.concat([encodeInteger(0x63787470), encodeString('not now'), encodeInteger(1)]))
    await readTempRoot(reader)
    socket.write(rooted)
  })
  using connection = await dial(daemon.socketPath)
  await expect(connection.addTempRoot(path, timeoutMs)).rejects.toThrow(new DaemonError('not now'))
  await connection.addTempRoot(path, timeoutMs)
})

test('openDaemonConnection refuses what is no daemon, and one that closes', async () => {
  await using stranger = await startScriptedDaemon(
    async ({ socket }) => void socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'),
  )
  await expect(dial(stranger.socketPath)).rejects.toThrow('does not speak the worker protocol')
  await using closer = await startScriptedDaemon(async ({ socket }) => void socket.end())
  await expect(dial(closer.socketPath)).rejects.toThrow(WireError)
  await expect(dial('/nonexistent/socket')).rejects.toMatchObject({ code: 'ENOENT' })
})

test('a request without an answer ends with the connection when its time is up', async () => {
  const asked = Promise.withResolvers<void>()
  await using daemon = await startScriptedDaemon(async ({ greet, reader }) => {
    await greet(34)
    await readTempRoot(reader)
    asked.resolve()
  })
  const clock = new ManualClock()
  using connection = await openDaemonConnection({ socketPath: daemon.socketPath, clock, timeoutMs })
  const request = connection.addTempRoot(path, 5000)
  await asked.promise
  clock.advance(5000)
  await expect(request).rejects.toThrow('no answer within 5000 ms')
  expect(connection.isOpen).toBe(false)
  expect(clock.pending).toBe(0)
})

test('a daemon that speaks out of turn loses the connection', async () => {
  await using daemon = await startScriptedDaemon(async ({ greet, reader, socket }) => {
    await greet(34)
    await readTempRoot(reader)
    socket.write(Buffer.concat([rooted, last]))
  })
  using connection = await dial(daemon.socketPath)
  await connection.addTempRoot(path, timeoutMs).catch(() => {})
  await connection.closed
  expect(connection.isOpen).toBe(false)
})
