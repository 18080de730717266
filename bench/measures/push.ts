/**
 * Pushing: the bench's closure into an empty depot, on loopback and on a slow line; many small paths; nothing to do; a
 * line that is cut.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { type Burrow, user } from '../burrow.ts'
import { runCommand } from '../children.ts'
import { type Bench, interleave, type Measure } from '../measure.ts'
import { nixEnvironment } from '../nix.ts'
import { openShapingProxy, type Shape, type ShapingProxy } from '../shaping-proxy.ts'
import { projectDir, workDir } from '../work-dir.ts'

const homeLine: Shape = { bitsPerSecond: 20_000_000, roundTripMs: 60 }
const distantLine: Shape = { bitsPerSecond: 1_000_000_000, roundTripMs: 60 }

export const pushClosure: Measure = {
  name: 'push-closure',
  what: 'burrow push of the closure to an empty depot, against nix copy --to file://, which checks nothing',
  unit: 's',
  target: { of: 'ratio', relation: '≤', value: 2 },
  hasReference: false,
  run: (bench) => pushClosureBeside(bench, () => copyToFolder(bench)),
}

export const pushAgainstStockNix: Measure = {
  name: 'push-stock',
  what: 'burrow push of the closure, against nix copy --to http://… of the same into the same cache',
  unit: 's',
  target: { of: 'ratio', relation: '≤', value: 1 },
  hasReference: false,
  run: (bench) => pushClosureBeside(bench, () => withEmptyDepot(bench, (burrow) => copyToCache(bench, burrow))),
}

export const pushSmall: Measure = {
  name: 'push-small',
  what: '949 small paths pushed over a line with 60 ms',
  unit: 's',
  target: { of: 'value', relation: '≤', value: 5 },
  hasReference: false,
  async run(bench) {
    const paths = smallPaths(bench, 949)
    return {
      rounds: await repeat(bench, () =>
        withEmptyDepot(bench, (burrow) =>
          overLine(burrow, distantLine, ({ port }) => push(bench, port, paths, ['--no-closure'])),
        ),
      ),
    }
  },
}

export const pushNothing: Measure = {
  name: 'push-nothing',
  what: '1,400 paths pushed that are there already, over a line with 60 ms',
  unit: 's',
  target: { of: 'value', relation: '≤', value: 0.5 },
  hasReference: false,
  async run(bench) {
    return {
      rounds: await withEmptyDepot(bench, async (burrow) => {
        await push(bench, burrow.endpoint.port, [bench.store.root.storePath])
        return await repeat(bench, () =>
          overLine(burrow, distantLine, ({ port }) => push(bench, port, [bench.store.root.storePath])),
        )
      }),
    }
  },
}

export const pushHomeLine: Measure = {
  name: 'push-home-line',
  what: 'burrow push of about 50 MB over 20 Mbit/s and 60 ms, against the time that its bytes as zstd -3 need',
  unit: 's',
  target: { of: 'ratio', relation: '≤', value: 1.1 },
  hasReference: false,
  async run(bench) {
    const paths = middlePaths(bench, 120_000_000)
    const rounds = []
    for (let round = 0; round < bench.longRounds; round++) {
      const { seconds, wireBytes } = await withEmptyDepot(bench, (burrow) =>
        overLine(
          burrow,
          homeLine,
          async ({ port }) => await pushMeasured(bench, port, paths, ['--no-closure', '--level', '3']),
        ),
      )
      rounds.push({ reference: (wireBytes * 8) / homeLine.bitsPerSecond, burrow: seconds })
    }
    return { rounds }
  },
}

export const pushCuts: Measure = {
  name: 'push-cuts',
  what: 'bytes for the 500 MB path over a line that is cut each 50 MB, against its bytes as zstd',
  unit: 'MB',
  target: { of: 'ratio', relation: '≤', value: 1.05 },
  hasReference: false,
  async run(bench) {
    const path = bench.store.hugeFile.storePath
    const whole = await withEmptyDepot(bench, (burrow) =>
      pushMeasured(bench, burrow.endpoint.port, [path], ['--no-closure']),
    )
    const cut = await withEmptyDepot(bench, (burrow) =>
      overLine(burrow, { bitsPerSecond: 800_000_000, roundTripMs: 2, cutAfterBytes: 50_000_000 }, async (proxy) => {
        await push(bench, proxy.port, [path], ['--no-closure', '--jobs', '2'])
        return proxy.bytesUp
      }),
    )
    return { rounds: [{ reference: whole.wireBytes / 1e6, burrow: cut / 1e6 }] }
  },
}

async function pushClosureBeside(bench: Bench, reference: () => Promise<number>) {
  const pushIt = () =>
    withEmptyDepot(bench, (burrow) => push(bench, burrow.endpoint.port, [bench.store.root.storePath]))
  return { rounds: await interleave(reference, pushIt, { rounds: bench.longRounds, discardFirst: false }) }
}

async function repeat(bench: Bench, run: () => Promise<number>) {
  const rounds = []
  for (let round = 0; round < bench.longRounds; round++) rounds.push({ reference: undefined, burrow: await run() })
  return rounds
}

async function withEmptyDepot<T>(bench: Bench, use: (burrow: Burrow) => Promise<T>): Promise<T> {
  await using burrow = await bench.depot()
  return await use(burrow)
}

async function overLine<T>(burrow: Burrow, shape: Shape, use: (proxy: ShapingProxy) => Promise<T>): Promise<T> {
  await using proxy = await openShapingProxy(burrow.endpoint.port, shape)
  return await use(proxy)
}

/**
 * Seconds from the client's first request to its last answer, as it says itself: what starting Node takes belongs to no
 * line.
 */
async function push(
  bench: Bench,
  port: number,
  paths: readonly string[],
  flags: readonly string[] = [],
): Promise<number> {
  return (await pushMeasured(bench, port, paths, flags)).seconds
}

interface Pushed {
  readonly seconds: number
  readonly wireBytes: number
}

async function pushMeasured(
  { store }: Bench,
  port: number,
  paths: readonly string[],
  flags: readonly string[],
): Promise<Pushed> {
  const home = mkdtempSync(join(workDir, 'push-home-'))
  try {
    const password = join(home, 'password')
    writeFileSync(password, user.password, { mode: 0o600 })
    const env = {
      PATH: process.env.PATH,
      HOME: home,
      NIX_STATE_DIR: join(store.database, '..', '..'),
      BURROW_REAL_STORE_DIR: store.realStoreDir,
      BURROW_USER: user.name,
      BURROW_PASSWORD_FILE: password,
    }
    const args = [
      '--disable-warning=ExperimentalWarning',
      'appliance/program.ts',
      'push',
      '--to',
      `http://127.0.0.1:${port}`,
      '--json',
      ...flags,
      ...paths,
    ]
    const { stdout } = await runCommand(process.execPath, args, { cwd: projectDir, env, timeoutSeconds: 300 })
    const summary = JSON.parse(stdout.trim().split('\n').at(-1)!) as Pushed & { readonly event: string }
    if (summary.event !== 'summary') throw new Error('burrow push printed no summary')
    return summary
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

async function copyToFolder(bench: Bench): Promise<number> {
  const dir = mkdtempSync(join(workDir, 'push-folder-'))
  try {
    return await nixCopy(bench, `file://${join(dir, 'cache')}?compression=zstd`, dir)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function copyToCache(bench: Bench, burrow: Burrow): Promise<number> {
  const dir = mkdtempSync(join(workDir, 'push-nix-'))
  try {
    const netrc = join(dir, 'netrc')
    writeFileSync(netrc, `machine 127.0.0.1 login ${user.name} password "${user.password}"\n`, { mode: 0o600 })
    return await nixCopy(bench, `http://127.0.0.1:${burrow.endpoint.port}?compression=zstd`, dir, [
      '--option',
      'netrc-file',
      netrc,
    ])
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function nixCopy({ store }: Bench, to: string, home: string, options: readonly string[] = []): Promise<number> {
  const from = `local?root=${join(store.realStoreDir, '..', '..')}`
  const args = ['copy', '--no-check-sigs', '--from', from, '--to', to, ...options, store.root.storePath]
  return (await runCommand('nix', args, { env: nixEnvironment(home), timeoutSeconds: 300 })).seconds
}

function smallPaths({ store }: Bench, count: number): string[] {
  return store.objects
    .filter(({ narSize }) => narSize < 200_000)
    .slice(0, count)
    .map(({ storePath }) => storePath)
}

/** Paths of 1 to 20 MB up to so many bytes of NAR. */
function middlePaths({ store }: Bench, bytes: number): string[] {
  let sum = 0
  return store.objects
    .filter(({ narSize }) => {
      if (narSize < 1_000_000 || narSize > 20_000_000 || sum > bytes) return false
      sum += narSize
      return true
    })
    .map(({ storePath }) => storePath)
}
