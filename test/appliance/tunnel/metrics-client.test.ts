import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from '@jest/globals'

import { createMetricsClient } from '../../../appliance/tunnel/watch/metrics-client.ts'
import { TestClock } from './test-clock.ts'

async function serve(listener: RequestListener) {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const clock = new TestClock()
  const client = createMetricsClient({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }, clock)
  return {
    client,
    clock,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

test('read gives the body whatever the status', async () => {
  await using served = await serve((request, response) => void response.writeHead(503).end(`at ${request.url}`))
  expect(await served.client.read('/ready', 100)).toBe('at /ready')
  expect(served.clock.pending).toBe(0)
})

test('read gives up a body that is too long, even one that never ends', async () => {
  const closed = Promise.withResolvers<void>()
  await using served = await serve((_, response) => {
    const write = () => {
      while (response.write('x'.repeat(1000)));
    }
    response.on('drain', write).on('close', () => closed.resolve())
    write()
  })
  expect(await served.client.read('/config', 10_000)).toBeUndefined()
  await closed.promise
  expect(served.clock.pending).toBe(0)
})

test('read gives up an answer that trickles for longer than 5 s', async () => {
  const asked = Promise.withResolvers<void>()
  await using served = await serve((_, response) => {
    response.write('{', () => asked.resolve())
  })
  const read = served.client.read('/ready', 100)
  await asked.promise
  served.clock.advance(5_000)
  expect(await read).toBeUndefined()
})

test('read gives nothing for a body that is cut short', async () => {
  await using served = await serve((_, response) => {
    response.writeHead(200, { 'content-length': 10 })
    response.write('{}', () => response.destroy())
  })
  expect(await served.client.read('/ready', 100)).toBeUndefined()
})

test('close ends what is under way, and answers nothing after it', async () => {
  const asked = Promise.withResolvers<void>()
  await using served = await serve(() => asked.resolve())
  const read = served.client.read('/ready', 100)
  await asked.promise
  served.client.close()
  expect(await read).toBeUndefined()
  expect(await served.client.read('/ready', 100)).toBeUndefined()
  expect(served.clock.pending).toBe(0)
})
