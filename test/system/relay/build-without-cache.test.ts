/** A build goes on whatever becomes of the cache behind the relay: away before, during and after, with both Nix. */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Server as NetServer,
  type Socket,
} from 'node:net'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { generateSecretKey } from '../../../src/index.ts'
import { openTestCache } from '../../fixtures/cache.ts'
import { hasNewerNix, runNewerNix, sayThatItIsSkipped } from '../../fixtures/newer-nix.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import { startRelay } from './relay-program.ts'

let nix: NixFixture
const key = generateSecretKey('cache-1')

beforeAll(async () => {
  nix = await openNixFixture()
})

afterAll(() => nix[Symbol.asyncDispose]())

/** A derivation that nobody has built before. */
const something = () =>
  `derivation { name = "new-${randomBytes(4).toString('hex')}"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo built > $out" ]; }`

async function build(store: ScratchStore, expression: string, url: string, fallback: boolean) {
  const file = await store.writeFile('default.nix', expression)
  const options = { substituters: url, 'trusted-public-keys': key.publicKey, fallback: String(fallback) }
  const flags = Object.entries(options).flatMap(([name, value]) => ['--option', name, value])
  return await store.runInside('nix-build', ['--no-out-link', file, ...flags], { allowFailure: true })
}

async function buildWithNewerNix(expression: string, url: string, fallback: boolean) {
  return await runNewerNix(
    nix,
    `cat > $d/default.nix <<'END'
${expression}
END
nix-build --no-out-link $d/default.nix --option substituters '${url}' --option trusted-public-keys '${key.publicKey}' --option fallback ${fallback} &&
nix-store --delete $(nix-build --no-out-link $d/default.nix --option substituters '') > /dev/null 2>&1`,
    { allowFailure: true },
  )
}

async function freePort(): Promise<number> {
  const server = createServer()
  await listen(server, 0)
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

const listen = (server: NetServer, port: number) =>
  new Promise<void>((resolve) => void server.listen(port, '127.0.0.1', resolve))

/** Far ends that are no caches. */
const illnesses: readonly (readonly [string, (socket: Socket) => void])[] = [
  ['takes connections and never answers', (socket) => void socket.resume()],
  ['resets each connection', (socket) => void socket.resetAndDestroy()],
  ['is an edge without an origin', (socket) => answer(socket, '530 ', 'text/plain', 'error code: 1033')],
  ['answers 500', (socket) => answer(socket, '500 Internal Server Error', 'text/plain', 'oops')],
  ['answers with a page for everything', (socket) => answer(socket, '200 OK', 'text/html', '<html>hello</html>')],
]

function answer(socket: Socket, status: string, type: string, body: string): void {
  socket.on('data', () =>
    socket.write(`HTTP/1.1 ${status}\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
  )
}

describe('a build of something new', () => {
  test.each([true, false])('succeeds while nothing listens at the far end, fallback = %s', async (fallback) => {
    await using relay = await startRelay(nix, { to: `http://127.0.0.1:${await freePort()}` })
    const store = await nix.openStore()
    expect(await build(store, something(), relay.url, fallback)).toMatchObject({ code: 0 })
  })

  test.each(illnesses)('succeeds while the far end %s', async (_what, treat) => {
    const sockets = new Set<Socket>()
    const server = createTcpServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      treat(socket)
    })
    await listen(server, 0)
    try {
      await using relay = await startRelay(nix, { to: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
      const store = await nix.openStore()
      expect(await build(store, something(), relay.url, false)).toMatchObject({ code: 0 })
      if (!hasNewerNix) return sayThatItIsSkipped()
      for (const fallback of [true, false])
        expect(await buildWithNewerNix(something(), relay.url, fallback)).toMatchObject({ code: 0 })
    } finally {
      for (const socket of sockets) socket.destroy()
      server.close()
    }
  })
})

/** The cost of a cache that is away: BURROW_TEST_TIMES prints seconds for each Nix. */
test('a relay whose far end is away costs little time', async () => {
  await using relay = await startRelay(nix, { to: `http://127.0.0.1:${await freePort()}` })
  const store = await nix.openStore()
  const time = async (run: () => Promise<{ code: number | null }>) => {
    const startedMs = performance.now()
    expect((await run()).code).toBe(0)
    return (performance.now() - startedMs) / 1000
  }
  const times: Record<string, number> = {
    'without any cache': await time(() => build(store, something(), '', false)),
    'with the relay': await time(() => build(store, something(), relay.url, false)),
    'with the relay, again': await time(() => build(store, something(), relay.url, false)),
  }
  if (hasNewerNix) {
    times['newer Nix, without any cache'] = await time(() => buildWithNewerNix(something(), '', false))
    times['newer Nix, with the relay'] = await time(() => buildWithNewerNix(something(), relay.url, false))
  }
  if (process.env.BURROW_TEST_TIMES !== undefined) process.stderr.write(`${JSON.stringify(times)}\n`)
})

describe('a path that the cache has', () => {
  test('is built where the cache goes away between its narinfo and its NAR, once patience is over', async () => {
    const builder = await nix.openStore()
    const expression = something()
    const [path] = await builder.build(`{ x = ${expression}; }`, 'x')
    await using cache = await openTestCache(builder, { signing: [key] })
    let isNarServed = false
    const sockets = new Set<Socket>()
    /** Lets narinfos through and nothing of a NAR. */
    const front = createTcpServer((near) => {
      const far = connect(cache.port, '127.0.0.1')
      sockets.add(near)
      near.on('error', () => {}).on('close', () => far.destroy())
      far.on('error', () => {}).on('close', () => near.destroy())
      near.on('data', (bytes) => {
        if (/^GET \/nar\//.test(bytes.toString('latin1')) && !isNarServed) near.destroy()
        else far.write(bytes)
      })
      far.pipe(near)
    })
    await listen(front, 0)
    try {
      await using relay = await startRelay(nix, {
        to: `http://127.0.0.1:${(front.address() as AddressInfo).port}`,
        user: 'ben',
        args: ['--patience', '3s'],
      })
      const store = await nix.openStore()
      expect((await fetch(`${relay.url}/${path!.slice(11, 43)}.narinfo`)).status).toBe(200)
      const { code, stderr } = await build(store, expression, relay.url, false)
      expect([code, stderr]).toEqual([0, expect.stringMatching(/building/)])
      // And with the line back it is fetched.
      isNarServed = true
      const other = await nix.openStore()
      const fetched = await build(other, expression, relay.url, false)
      expect([fetched.code, fetched.stderr]).toEqual([0, expect.stringMatching(/copying path/)])
    } finally {
      for (const socket of sockets) socket.destroy()
      front.close()
    }
  })
})
