/** The near end: what the relay costs on a good line, and what it saves on a long one. */
import { text } from 'node:stream/consumers'

import { type Endpoint, request } from '../cache.ts'
import { type Bench, interleave, type Measure } from '../measure.ts'
import { copyPaths } from '../nix-copy.ts'
import { makeClientProgram, openRelay } from '../relay-program.ts'
import { openShapingProxy, type Shape } from '../shaping-proxy.ts'

const smallPathCount = 1_400

export const relayClosure: Measure = {
  name: 'relay-closure',
  what: 'closure by nix copy through a relay on loopback, against nix copy without one',
  unit: 's',
  target: { of: 'ratio', relation: '≤', value: 1.15 },
  hasReference: false,
  async run(bench) {
    const { burrow } = await bench.compressed()
    await using relay = await openRelayTo(burrow)
    const rounds = await interleave(
      () => copyPaths(bench, burrow, [bench.store.root.storePath]),
      () => copyPaths(bench, relay.endpoint, [bench.store.root.storePath]),
      { rounds: bench.longRounds },
    )
    return { rounds }
  },
}

export const relaySmall: Measure = {
  name: 'relay-small',
  what: `${smallPathCount} small paths by nix copy through a relay, 60 ms and 100 Mbit/s, against nix copy without one`,
  unit: 's',
  target: { of: 'ratio', relation: '≤', value: 0.5 },
  hasReference: false,
  run: (bench) => overLine(bench, { bitsPerSecond: 100_000_000, roundTripMs: 60 }),
}

export const relaySmallSlow: Measure = {
  name: 'relay-small-slow',
  what: `${smallPathCount} small paths by nix copy through a relay, 60 ms and 20 Mbit/s, against nix copy without one`,
  unit: 's',
  target: { of: 'ratio', relation: '≤', value: 0.7 },
  hasReference: false,
  run: (bench) => overLine(bench, { bitsPerSecond: 20_000_000, roundTripMs: 60 }),
}

export const relayLine: Measure = {
  name: 'relay-line',
  what: 'one NAR of 20 to 50 MB through a relay, 60 ms and 100 Mbit/s, against the time that the line needs for its bytes',
  unit: 's',
  target: { of: 'ratio', relation: '≤', value: 1.1 },
  hasReference: false,
  async run(bench) {
    const { burrow } = await bench.compressed()
    const large = burrow.links.find(({ object }) => object.narSize > 20_000_000 && object.narSize < 60_000_000)!
    const shape: Shape = { bitsPerSecond: 100_000_000, roundTripMs: 60 }
    await using line = await openShapingProxy(burrow.port, shape)
    await using relay = await openRelayTo({ ...burrow, port: line.port })
    const rounds = []
    for (let round = 0; round < bench.longRounds; round++) {
      const startedMs = performance.now()
      const narInfo = await text(await request(relay.endpoint, `/${large.object.hashPart}.narinfo`))
      const nar = await request(relay.endpoint, `/${/^URL: (.*)$/m.exec(narInfo)![1]}`)
      for await (const _ of nar);
      const seconds = (performance.now() - startedMs) / 1000
      rounds.push({ reference: (large.bytes! * 8) / shape.bitsPerSecond, burrow: seconds })
    }
    return { rounds }
  },
}

async function openRelayTo(farEnd: Endpoint) {
  await makeClientProgram()
  return await openRelay(farEnd, '/nix-cache-info')
}

async function overLine(bench: Bench, shape: Shape) {
  const { burrow } = await bench.compressed()
  const paths = smallPaths(bench)
  await using line = await openShapingProxy(burrow.port, shape)
  await using relay = await openRelayTo({ ...burrow, port: line.port })
  const stock: Endpoint = { ...burrow, port: line.port }
  const run = (endpoint: Endpoint) =>
    copyPaths(bench, endpoint, paths, { flags: ['--no-recursive'], timeoutSeconds: 600 })
  const rounds = await interleave(
    () => run(stock),
    () => run(relay.endpoint),
    { rounds: bench.longRounds, discardFirst: false },
  )
  return { rounds }
}

/** Small objects that refer to small ones only, what is referred to first. */
function smallPaths({ store }: Bench): string[] {
  const small = new Set<string>()
  for (const { storePath, narSize, references } of store.objects) {
    const isClosed = references.every((reference) => reference === storePath || small.has(reference))
    if (narSize < 200_000 && isClosed && small.size < smallPathCount) small.add(storePath)
  }
  return [...small]
}
