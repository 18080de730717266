import { once } from 'node:events'
import { stat, writeFile } from 'node:fs/promises'
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from '@jest/globals'

import type { Complaint } from '../../appliance/complaint.ts'
import type { ListenAddress } from '../../appliance/config/listen-address.ts'
import { type Listener, openListener } from '../../appliance/server/listener.ts'
import { createScratchDir } from './scratch-dir.ts'

const anyPort: ListenAddress = { kind: 'tcp', host: '127.0.0.1', port: 0 }
type Handler = (request: IncomingMessage, response: ServerResponse) => void
const answer: Handler = (_request, response) => void response.end('hello')

const open = (handler: Handler = answer, address: ListenAddress = anyPort) =>
  openListener(createServer(handler), address, { drainMs: 0 })

async function get(listener: Listener, agent = new Agent()) {
  const where =
    listener.address.kind === 'unix'
      ? { socketPath: listener.address.path }
      : { host: listener.address.host, port: listener.address.port }
  const [response] = (await once(request({ ...where, agent }).end(), 'response')) as [IncomingMessage]
  return response
}

async function complaintOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: Complaint) => thrown,
  )
  expect(error?.code).toBe('listen')
  return error!.message
}

describe('openListener', () => {
  test('openListener says where it listens', async () => {
    await using listener = await open()
    if (listener.address.kind !== 'tcp') throw new Error('no port')
    expect(listener.url).toBe(`http://127.0.0.1:${listener.address.port}`)
    expect(await text(await get(listener))).toBe('hello')
  })

  test('openListener says what is wrong with an address in use', async () => {
    await using first = await open()
    expect(await complaintOf(open(answer, first.address))).toMatch(
      /^Cannot listen on "127\.0\.0\.1:\d+": another process listens there; stop it, or choose another address with --listen/,
    )
  })

  test('openListener opens a unix socket for its owner and group, and removes it at the end', async () => {
    await using dir = await createScratchDir()
    const path = dir.file('s.sock')
    {
      await using listener = await open(answer, { kind: 'unix', path })
      expect((await stat(path)).mode & 0o777).toBe(0o660)
      expect([listener.url, await text(await get(listener))]).toEqual([`unix:${path}`, 'hello'])
    }
    await expect(stat(path)).rejects.toThrow('ENOENT')
  })

  test('openListener takes the place of a socket on which nobody answers, and of no other file', async () => {
    await using dir = await createScratchDir()
    const address = { kind: 'unix', path: dir.file('s.sock') } as const
    const { spawnSync } = await import('node:child_process')
    spawnSync(process.execPath, [
      '-e',
      `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`,
      address.path,
    ])
    expect((await stat(address.path)).isSocket()).toBe(true)
    {
      await using listener = await open(answer, address)
      expect(await complaintOf(open(answer, address))).toMatch(/another process answers there/)
      expect(await text(await get(listener))).toBe('hello')
    }
    await writeFile(address.path, 'precious')
    expect(await complaintOf(open(answer, address))).toMatch(/not a socket\. Remove it/)
    expect(await complaintOf(open(answer, { kind: 'unix', path: dir.file('no/s.sock') }))).toMatch(
      /its directory does not exist/,
    )
  })
})

describe('drain', () => {
  /** A server whose first answer waits in the middle until it is told to go on. */
  function createSlow() {
    const held = Promise.withResolvers<ServerResponse>()
    const handler: Handler = (incoming, response) => {
      if (incoming.url !== '/slow') return answer(incoming, response)
      response.write('first ')
      held.resolve(response)
    }
    return { handler, held: held.promise }
  }

  async function getSlow(listener: Listener, agent: Agent) {
    if (listener.address.kind !== 'tcp') throw new Error('no port')
    const [response] = (await once(
      request({ port: listener.address.port, host: '127.0.0.1', path: '/slow', agent }).end(),
      'response',
    )) as [IncomingMessage]
    return response
  }

  test('drain lets a response under way finish, then closes its keep-alive connection', async () => {
    const slow = createSlow()
    const listener = await open(slow.handler)
    const agent = new Agent({ keepAlive: true })
    const response = await getSlow(listener, agent)
    const held = await slow.held
    expect(listener.requestsUnderWay).toBe(1)
    const drained = listener.drain(1e8)
    expect(listener.isDraining).toBe(true)
    held.end('last')
    expect(await text(response)).toBe('first last')
    expect(await drained).toEqual({ cut: 0 })
    agent.destroy()
  })

  test('drain closes idle connections at once and takes no new ones', async () => {
    const listener = await open()
    const agent = new Agent({ keepAlive: true })
    await text(await get(listener, agent))
    expect(await listener.drain(1e8)).toEqual({ cut: 0 })
    await expect(get(listener)).rejects.toThrow('ECONNREFUSED')
    agent.destroy()
  })

  test('drain ends although a client keeps asking on its connection: it is told to go', async () => {
    const slow = createSlow()
    const listener = await open(slow.handler)
    if (listener.address.kind !== 'tcp') throw new Error('no port')
    const socket = connect(listener.address.port, '127.0.0.1')
    // Pipelined: the second request is read only after the first was answered, in the middle of draining.
    socket.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n')
    const held = await slow.held
    const drained = listener.drain(1e8)
    held.end('last')
    const said = await text(socket)
    expect(said.match(/HTTP\/1\.1 200/g)?.length).toBeGreaterThanOrEqual(1)
    expect(await drained).toEqual({ cut: 0 })
  })

  test('drain cuts what is left at its limit, and tells how much', async () => {
    const slow = createSlow()
    const listener = await open(slow.handler)
    const response = await getSlow(listener, new Agent())
    await slow.held
    expect(await listener.drain(1)).toEqual({ cut: 1 })
    await expect(text(response)).rejects.toThrow('aborted')
    expect(await listener.drain(1e8)).toEqual({ cut: 1 })
  })
})
