import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect as connectTcp } from 'node:net'
import { connect } from 'node:tls'
import { describe, expect, test } from '@jest/globals'

import { openEdge } from './edge.ts'
import { get, openConnectedEdge } from './fixture.ts'
import { openPlainConnection } from './plain-connector.ts'

describe('registration', () => {
  test('a connector with the right secret is registered, with what it says of itself', async () => {
    await using edge = await openEdge()
    await using connection = await openPlainConnection({ edge, token: edge.token(), connIndex: 3 })
    await edge.connected(1)
    expect(connection.registration).toMatchObject({ location: 'lab01', isRemotelyManaged: false })
    expect(edge.connections).toMatchObject([
      {
        ...connection.registration,
        connIndex: 3,
        connectorId: connection.connectorId,
        version: '2026.8.2',
        features: ['serialized_headers'],
        hostname: 'cache.example.org',
      },
    ])
  })

  test('connection ids are UUIDs of version 4', async () => {
    await using edge = await openEdge()
    await using connection = await openPlainConnection({ edge, token: edge.token() })
    expect(connection.registration).toMatchObject({
      connectionId: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
    })
  })

  test.each([
    [
      'another secret',
      'Unauthorized: Invalid tunnel secret',
      (fields: Record<string, string>) => ({ ...fields, s: Buffer.alloc(32).toString('base64') }),
    ],
    [
      'another account',
      'Unauthorized: Tunnel not found',
      (fields: Record<string, string>) => ({ ...fields, a: 'f'.repeat(32) }),
    ],
    [
      'an unknown tunnel',
      'Unauthorized: Tunnel not found',
      (fields: Record<string, string>) => ({ ...fields, t: randomUUID() }),
    ],
  ])('a token of %s is refused as real edges refuse it, and the connection closed', async (_, cause, forge) => {
    await using edge = await openEdge()
    const fields = JSON.parse(Buffer.from(edge.token(), 'base64').toString()) as Record<string, string>
    await using connection = await openPlainConnection({
      edge,
      token: Buffer.from(JSON.stringify(forge(fields))).toString('base64'),
    })
    expect(connection.registration).toMatchObject({ cause, shouldRetry: false })
    await connection.closed
    expect(edge.connections).toEqual([])
    expect(edge.registrations).toMatchObject([{ isAccepted: false, refusal: { cause } }])
  })

  test('credentials and token say the same', async () => {
    await using edge = await openEdge()
    const { AccountTag, TunnelSecret, TunnelID } = edge.credentials()
    expect(JSON.parse(Buffer.from(edge.token(), 'base64').toString())).toEqual({
      a: AccountTag,
      t: TunnelID,
      s: TunnelSecret,
    })
  })

  test('a rotated secret keeps what is registered, and refuses the old token from then on', async () => {
    await using edge = await openEdge()
    const old = edge.token()
    await using first = await openPlainConnection({ edge, token: old })
    await edge.connected(1)
    edge.rotateSecret()
    await using second = await openPlainConnection({ edge, token: old })
    await using third = await openPlainConnection({ edge, token: edge.token() })
    expect(second.registration).toMatchObject({ cause: 'Unauthorized: Invalid tunnel secret' })
    expect(third.registration).toHaveProperty('connectionId')
    expect(first.registration).toHaveProperty('connectionId')
    await edge.connected(2)
  })

  test('a refusal on demand reaches the connector whole, as often as was said', async () => {
    await using edge = await openEdge()
    edge.refuseRegistration({ cause: 'EDUPCONN', shouldRetry: true, retryAfterMs: 1500 }, 1)
    await using refused = await openPlainConnection({ edge, token: edge.token() })
    await using accepted = await openPlainConnection({ edge, token: edge.token() })
    expect(refused.registration).toEqual({ cause: 'EDUPCONN', shouldRetry: true, retryAfterMs: 1500 })
    expect(accepted.registration).toHaveProperty('connectionId')
  })

  test('an ignored registration gets no answer', async () => {
    await using edge = await openEdge()
    edge.ignoreRegistrations(true)
    const opening = openPlainConnection({ edge, token: edge.token() })
    opening.catch(() => {})
    await edge.attempted(1)
    expect(edge.connections).toEqual([])
    await edge[Symbol.asyncDispose]()
    await expect(opening).rejects.toThrow('closed')
  })

  test('the ingress of a locally managed connector is kept for the test to see', async () => {
    await using connected = await openConnectedEdge(() => {})
    await connected.connection.reportConfiguration('{"ingress":[{"service":"http_status:404"}]}')
    expect(connected.edge.connections[0]?.localConfiguration).toBe('{"ingress":[{"service":"http_status:404"}]}')
  })
})

describe('leaving', () => {
  test('after an unregistration the edge closes, but not before what is in flight has ended', async () => {
    const inFlight = Promise.withResolvers<() => void>()
    await using connected = await openConnectedEdge((request) => {
      request.respond(200, [['Content-Length', '4']])
      request.stream.write('ab')
      inFlight.resolve(() => request.stream.end('cd'))
    })
    const { edge, connection } = connected
    const answer = get(edge.url, '/slow')
    const finish = await inFlight.promise
    await connection.unregister()
    expect(edge.connections).toEqual([])
    expect((await get(edge.url, '/late')).status).toBe(530)
    finish()
    expect(await answer).toMatchObject({ status: 200, isComplete: true, body: Buffer.from('abcd') })
    await connection.closed
    await edge.lost(1)
  })

  test('an edge that keeps unregistered connections closes none', async () => {
    await using connected = await openConnectedEdge(() => {})
    const { edge, connection } = connected
    edge.keepConnectionsOnUnregister = true
    await connection.unregister()
    let isClosed = false
    connection.closed.then(() => {
      isClosed = true
    })
    // Another one's registration and leaving take more turns than closing would have.
    await using other = await openPlainConnection({ edge, token: edge.token() })
    await edge.connected(1)
    await other.unregister()
    expect(isClosed).toBe(false)
    edge.dropConnections()
    await connection.closed
  })

  test('a port that refuses connections is opened again as the same port', async () => {
    await using connected = await openConnectedEdge(({ reply }) => reply(200, [], 'still here'))
    const { edge } = connected
    const address = edge.connectorAddress
    edge.refuseConnections()
    const refused = connectTcp(Number(address.split(':')[1]), '127.0.0.1')
    const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException]
    expect(error.code).toBe('ECONNREFUSED')
    expect((await get(edge.url, '/')).body.toString()).toBe('still here')
    await edge.acceptConnections()
    expect(edge.connectorAddress).toBe(address)
    await using again = await openPlainConnection({ edge, token: edge.token() })
    expect(again.registration).toHaveProperty('connectionId')
  })

  test('lost and connected tell a drop and a return', async () => {
    await using connected = await openConnectedEdge(() => {})
    const { edge } = connected
    edge.dropConnections()
    await edge.lost(1)
    expect(edge.connections).toEqual([])
    await using back = await openPlainConnection({ edge, token: edge.token() })
    await edge.connected(1)
    expect(edge.connections).toMatchObject([{ connectorId: back.connectorId }])
  })
})

describe('remote configuration', () => {
  test('goes to the connections there are and to each that comes, in versions from 0', async () => {
    await using edge = await openEdge({ isRemotelyManaged: true })
    const pushes: unknown[] = []
    const arrived = Promise.withResolvers<void>()
    const configure = (push: { version: number }) => {
      pushes.push(push)
      if (pushes.length === 2) arrived.resolve()
      return { lastAppliedVersion: push.version, err: null }
    }
    await using first = await openPlainConnection({ edge, token: edge.token(), configure })
    await edge.connected(1)
    expect(first.registration).toMatchObject({ isRemotelyManaged: true })
    const config = { ingress: [{ service: 'http_status:404' }] }
    expect(await edge.pushConfig(config)).toEqual([{ lastAppliedVersion: 0, err: null }])
    await using second = await openPlainConnection({ edge, token: edge.token(), configure })
    await arrived.promise
    expect(pushes).toEqual([
      { version: 0, config },
      { version: 0, config },
    ])
    expect(second.registration).toHaveProperty('connectionId')
  })
})

describe('the way in', () => {
  test('the certificate is good for the name that cloudflared asks for, and is checked against caFile alone', async () => {
    await using edge = await openEdge()
    const ca = await readFile(edge.caFile)
    const port = Number(edge.connectorAddress.split(':')[1])
    const good = connect({ port, host: '127.0.0.1', servername: 'h2.cftunnel.com', ca })
    await once(good, 'secureConnect')
    expect(good.authorized).toBe(true)
    good.destroy()
    const stranger = connect({ port, host: '127.0.0.1', servername: 'h2.cftunnel.com' })
    const [error] = (await once(stranger, 'error')) as [NodeJS.ErrnoException]
    expect(error.code).toBe('DEPTH_ZERO_SELF_SIGNED_CERT')
  })

  test('garbage instead of TLS, or instead of HTTP/2, harms nobody', async () => {
    await using connected = await openConnectedEdge(({ reply }) => reply(200, [], 'fine'))
    const { edge } = connected
    const port = Number(edge.connectorAddress.split(':')[1])
    const plain = connectTcp(port, '127.0.0.1')
    plain.on('error', () => {})
    plain.end('GET / HTTP/1.1\r\n\r\n')
    await once(plain, 'close')
    const tls = connect({ port, host: '127.0.0.1', servername: 'h2.cftunnel.com', ca: await readFile(edge.caFile) })
    tls.on('error', () => {})
    await once(tls, 'secureConnect')
    tls.resume().end('this is not HTTP/2 at all, not by any reading of it\r\n')
    await once(tls, 'close')
    expect((await get(edge.url, '/')).body.toString()).toBe('fine')
  })

  test('the quick service makes a tunnel that can be connected to, under its own host name', async () => {
    await using edge = await openEdge()
    const reply = (await (await fetch(`${edge.quickServiceUrl}/tunnel`, { method: 'POST' })).json()) as {
      success: boolean
      result: { id: string; hostname: string; account_tag: string; secret: string }
      errors: unknown[]
    }
    expect(reply).toMatchObject({
      success: true,
      errors: [],
      result: { hostname: expect.stringMatching(/^[a-z]+(-[a-z]+)+\.trycloudflare\.com$/) },
    })
    const { id, account_tag, secret, hostname } = reply.result
    const token = Buffer.from(JSON.stringify({ a: account_tag, t: id, s: secret })).toString('base64')
    await using connection = await openPlainConnection({
      edge,
      token,
      origin: ({ headers, reply }) => reply(200, [], String(headers[':authority'])),
    })
    await edge.connected(1)
    expect(connection.registration).toHaveProperty('connectionId')
    expect((await get(edge.url, '/')).body.toString()).toBe(hostname)
  })

  test('a quick service that has had enough says so with 429', async () => {
    await using edge = await openEdge()
    edge.refuseQuickTunnels(true)
    const reply = await fetch(`${edge.quickServiceUrl}/tunnel`, { method: 'POST' })
    expect(reply.status).toBe(429)
    expect(await reply.json()).toMatchObject({ success: false, errors: [{ message: expect.any(String) }] })
  })
})
