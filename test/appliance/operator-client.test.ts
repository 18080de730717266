import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { describe, expect, test } from '@jest/globals'

import type { ListenAddress } from '../../appliance/config/listen-address.ts'
import { askOperator } from '../../appliance/operator/operator-client.ts'
import { openListener } from '../../appliance/server/listener.ts'
import { sampleReport } from './sample-report.ts'
import { createScratchDir } from './scratch-dir.ts'

const anyPort: ListenAddress = { kind: 'tcp', host: '127.0.0.1', port: 0 }
const open = (answer: RequestListener, address: ListenAddress = anyPort) =>
  openListener(createServer(answer), address, { drainMs: 0 })

async function ask(answer: RequestListener, timeoutMs?: number) {
  await using listener = await open(answer)
  return await askOperator(listener.address, timeoutMs)
}

describe('askOperator', () => {
  test('reads the report, through a port and through a socket', async () => {
    const answer: RequestListener = (_request, response) => response.end(JSON.stringify(sampleReport))
    expect(await ask(answer)).toEqual({ kind: 'running', report: JSON.parse(JSON.stringify(sampleReport)) })
    await using dir = await createScratchDir()
    await using _listener = await open(answer, { kind: 'unix', path: dir.file('operator.sock') })
    expect((await askOperator({ kind: 'unix', path: dir.file('operator.sock') })).kind).toBe('running')
  })

  test('takes the report of a newer Burrow, which tells more and knows other states', async () => {
    const newer = { ...sampleReport, depot: { files: 1 }, tunnel: { ...sampleReport.tunnel, state: 'hibernating' } }
    expect(await ask((_request, response) => response.end(JSON.stringify(newer)))).toEqual({
      kind: 'running',
      report: JSON.parse(JSON.stringify(newer)),
    })
  })

  test('says that nobody listens, at a socket that is missing or dead and at a port', async () => {
    await using dir = await createScratchDir()
    expect((await askOperator({ kind: 'unix', path: dir.file('none.sock') })).kind).toBe('silent')
    const listener = await open(() => {})
    await listener[Symbol.asyncDispose]()
    expect((await askOperator(listener.address)).kind).toBe('silent')
  })

  test.each<[string, RequestListener]>([
    ['another status', (_request, response) => response.writeHead(404).end()],
    [
      'a redirect, which is not followed',
      (_request, response) => response.writeHead(302, { Location: 'http://127.0.0.1:1/' }).end(),
    ],
    ['a web page', (_request, response) => response.end('<html>')],
    ['other JSON', (_request, response) => response.end('{"version":"1"}')],
    [
      'a report with a wrong date',
      (_request, response) => response.end(JSON.stringify({ ...sampleReport, now: 'today' })),
    ],
    ['a report without end', (_request, response) => void response.write(Buffer.alloc(5 * 2 ** 20, ' '))],
  ])('tells another program by %s', async (_name, answer) => {
    expect((await ask(answer)).kind).toBe('foreign')
  })

  test('tells a program that speaks no HTTP', async () => {
    const server = createTcpServer((socket) => socket.on('error', () => {}).end('220 mail.example.org ESMTP\r\n'))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    expect((await askOperator({ kind: 'tcp', host: '127.0.0.1', port })).kind).toBe('foreign')
    server.close()
  })

  test('waits no longer than it was told for one that hangs', async () => {
    expect(await ask(() => {}, 20)).toMatchObject({ kind: 'unreachable', why: 'no answer within 0.02 s' })
  })

  test('tells a Burrow that is still starting', async () => {
    expect(await ask((_request, response) => response.writeHead(503).end('starting\n'))).toMatchObject({
      kind: 'unreachable',
      why: 'Burrow is still starting',
    })
  })
})
