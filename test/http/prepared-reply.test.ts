/**
 * Replies written in one piece, which lean on two undocumented names of node:http: this fails first when a version of
 * Node treats them otherwise.
 */
import { createServer, get, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { expect, test } from '@jest/globals'

import { canEndInOneWrite, endWithPrepared, prepareReply } from '../../src/http/prepared-reply.ts'

test('this Node sends a prepared reply in one write, byte for byte', () => {
  expect(canEndInOneWrite()).toBe(true)
})

test.each([
  [
    'throws',
    () => {
      throw new Error('no such thing')
    },
  ],
  ['adds a header of its own', (response: ServerResponse) => void response.end('body')],
  ['sends nothing', () => {}],
])('a Node that %s is noticed', (_what, endReply) => {
  expect(canEndInOneWrite(endReply)).toBe(false)
})

test('a reply is handed over only after the socket has it, and tells when the socket was gone', async () => {
  const reply = prepareReply(['Content-Type', 'text/plain'], [], 'body')
  const order: string[] = []
  const server = createServer((_request, response) => {
    const { socket } = response
    const before = socket!.bytesWritten
    endWithPrepared(response, reply, () => order.push(socket!.bytesWritten > before ? 'sent' : 'not sent'))
    order.push('asked')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => get({ port, host: '127.0.0.1' }, (response) => response.resume().once('end', resolve)))
  expect(order).toEqual(['asked', 'sent'])
  server.close()
})
