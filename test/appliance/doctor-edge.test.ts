/** `burrow doctor --url` through an edge: a real Burrow with a real Nix store behind a connector. */
import { randomBytes } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'

import { doctorCommand } from '../../appliance/commands/doctor.ts'
import type { Finding } from '../../appliance/doctor/finding.ts'
import { type ConnectedEdge, openConnectedEdge } from '../edge/fixture.ts'
import type { TunnelRequest } from '../edge/plain-connector.ts'
import { type NixFixture, openNixFixture } from '../fixtures/nix.ts'
import { type Served, serve, writeConfig } from './burrow.ts'
import { runCommand } from './run-command.ts'
import { createScratchDir, type ScratchDir } from './scratch-dir.ts'

let nix: NixFixture
let dir: ScratchDir
let served: Served
let connected: ConnectedEdge
/** Where the connector's only ingress rule leads. */
let answer: (request: TunnelRequest) => void

beforeAll(async () => {
  nix = await openNixFixture()
  const store = await nix.openStore()
  await store.addFile('hello', randomBytes(2000))
  dir = await createScratchDir()
  await writeConfig(dir, { users: ['ben:secret'], tunnel: 'off', store: { realDir: store.realStoreDir } })
  served = await serve(dir, { STATE_DIRECTORY: dir.file('state') })
  answer = forward
  connected = await openConnectedEdge((request) => answer(request))
})

afterAll(async () => {
  await connected?.[Symbol.asyncDispose]()
  await served?.[Symbol.asyncDispose]()
  await dir?.[Symbol.asyncDispose]()
  await nix?.[Symbol.asyncDispose]()
})

afterEach(() => {
  answer = forward
  connected.edge.challenge(false)
  connected.edge.cacheRule = { eligible: 'by-extension' }
  connected.edge.purgeCache()
})

function forward(request: TunnelRequest): void {
  const { ':path': path, ':method': method, ...headers } = request.headers
  const plain = Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(':')))
  httpRequest(new URL(path!, served.url), { method: method!, headers: plain as Record<string, string>, agent: false })
    .on('response', (response) => {
      const { rawHeaders } = response
      const lines = rawHeaders.flatMap((name, index) =>
        index % 2 === 0 ? [[name, rawHeaders[index + 1]!] as const] : [],
      )
      request.respond(response.statusCode!, lines)
      response.pipe(request.stream)
    })
    .on('error', () => request.respond(502, [], { src: 'cloudflared', endStream: true }))
    .end()
}

async function examine() {
  const options = { dir, env: { STATE_DIRECTORY: dir.file('state') } }
  const { code, stdout } = await runCommand(doctorCommand, ['doctor', '--json', '--url', connected.edge.url], options)
  const { findings } = JSON.parse(stdout) as { findings: (Finding & { remedy: string | null })[] }
  return {
    code,
    broken: findings.filter(({ grade }) => grade === 'fail').map(({ fault }) => fault),
    checks: findings.map(({ check }) => check),
  }
}

describe('burrow doctor through an edge', () => {
  test('finds nothing broken where nothing is', async () => {
    const { code, broken, checks } = await examine()
    expect({ code, broken }).toEqual({ code: 0, broken: [] })
    expect(checks).toEqual(expect.arrayContaining(['narinfo', 'download', 'edge cache']))
  })

  test('names a challenge page', async () => {
    connected.edge.challenge(true)
    expect(await examine()).toMatchObject({ code: 1, broken: ['challenge'] })
  })

  test('names a connector that cannot reach the origin', async () => {
    answer = (request) => request.respond(502, [['Content-Length', '0']], { src: 'cloudflared', endStream: true })
    expect((await examine()).broken).toEqual(['origin-unreachable'])
  })

  test('names an ingress rule that leads nowhere', async () => {
    answer = (request) => request.respond(404, [], { endStream: true })
    expect((await examine()).broken).toEqual(['wrong-ingress'])
  })

  test('names a cache rule that keeps whatever Burrow says', async () => {
    connected.edge.cacheRule = { eligible: 'everything', edgeTtlSeconds: 60 }
    expect((await examine()).broken).toEqual(['cached-private-reply'])
  })

  test('names a tunnel without connectors', async () => {
    await using lonely = await openConnectedEdge(forward)
    lonely.edge.dropConnections()
    await lonely.edge.lost(1)
    const options = { dir, env: { STATE_DIRECTORY: dir.file('state') } }
    const { stdout } = await runCommand(doctorCommand, ['doctor', '--url', lonely.edge.url], options)
    expect(stdout).toMatch(/^FAIL {2}public host +the edge has no connector for its tunnel \(530, error 1033\)/m)
  })
})
