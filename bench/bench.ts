/**
 * The servers of one run: nginx from the beginning, each Burrow when a measure first asks for it, all ended together.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Burrow, openBurrow } from './burrow.ts'
import { type Endpoint, readLinks } from './cache.ts'
import type { Bench, Pair } from './measure.ts'
import { openNginx } from './nginx.ts'
import { loadSigningKey } from './nix.ts'
import { say } from './progress.ts'
import { copyCompressedNars, makeCompressedNars, warmLarder, writeRawNarInfos } from './reference-files.ts'
import { openStore } from './store.ts'
import { warmLarderDir, workDir } from './work-dir.ts'

export interface BenchOptions {
  readonly quick: boolean
  /**
   * nginx takes Burrow's place: every ratio then has to be near 1, and how far it strays is the harness's own noise.
   */
  readonly againstItself: boolean
  /** The Burrow of this checkout takes nginx's place: what has a change made faster or slower? */
  readonly against: string | undefined
  readonly profile: boolean
}

export async function openBench(options: BenchOptions): Promise<Bench & AsyncDisposable> {
  const store = await openStore()
  const key = await loadSigningKey()
  writeRawNarInfos(store, key)
  await using resources = new AsyncDisposableStack()
  const nginx = resources.use(await openNginx())
  const open = (label: string, compression: 'zstd' | 'none', larderDir: string, checkout?: string): Promise<Burrow> => {
    say(`starting burrow (${label})`)
    return openBurrow({
      checkout,
      label,
      store,
      key,
      compression,
      larderDir,
      firstHashPart: store.root.hashPart,
      profile: options.profile,
    })
  }
  const standing: { compressed?: Running | undefined; raw?: Running | undefined } = {}

  const openPair = async (form: 'raw' | 'zst', start: () => Promise<Burrow>): Promise<Running> => {
    const toReference = async (): Promise<Pair['reference']> => withLinks(nginx.endpoint(form))
    const withLinks = async (endpoint: Endpoint): Promise<Pair['reference']> => ({
      ...endpoint,
      links: await readLinks(endpoint, store.objects),
    })
    if (options.againstItself) {
      if (form === 'zst') await makeCompressedNars(store, key)
      const reference = await toReference()
      return { pair: { reference, burrow: reference } }
    }
    if (options.against !== undefined) return await openBoth(form, options.against, start)
    const burrow = await start()
    try {
      if (form === 'raw')
        return { burrow, pair: { reference: await toReference(), burrow: await withLinks(burrow.endpoint) } }
      const warm = { ...burrow.endpoint, links: await warmLarder(burrow.endpoint, store) }
      await copyCompressedNars(warm, key)
      return { burrow, pair: { reference: await toReference(), burrow: warm } }
    } catch (error) {
      await burrow[Symbol.asyncDispose]()
      throw error
    }
  }

  const others: Burrow[] = []
  const openBoth = async (form: 'raw' | 'zst', checkout: string, start: () => Promise<Burrow>): Promise<Running> => {
    const compression = form === 'raw' ? 'none' : 'zstd'
    const toCache = async ({ endpoint }: Burrow): Promise<Pair['reference']> => ({
      ...endpoint,
      links: form === 'raw' ? await readLinks(endpoint, store.objects) : await warmLarder(endpoint, store),
    })
    const other = await open(`against-${form}`, compression, join(workDir, `larder-against-${form}`), checkout)
    others.push(other)
    const burrow = await start()
    return { burrow, pair: { reference: await toCache(other), burrow: await toCache(burrow) } }
  }

  resources.defer(async () => {
    for (const other of others) await other[Symbol.asyncDispose]()
    await standing.compressed?.burrow?.[Symbol.asyncDispose]()
    await standing.raw?.burrow?.[Symbol.asyncDispose]()
  })
  const owned = resources.move()
  return {
    store,
    key,
    rounds: options.quick ? 3 : 5,
    longRounds: options.quick ? 2 : 3,
    seconds: options.quick ? 2 : 4,
    async compressed() {
      standing.compressed ??= await openPair('zst', () => open('burrow-compressed', 'zstd', warmLarderDir))
      return standing.compressed.pair
    },
    async raw() {
      standing.raw ??= await openPair('raw', () => open('burrow-raw', 'none', join(workDir, 'larder-raw')))
      return standing.raw.pair
    },
    depot: () =>
      openBurrow({
        label: 'burrow-depot',
        store,
        key,
        compression: 'none',
        larderDir: join(workDir, 'larder-none'),
        firstHashPart: store.root.hashPart,
        mayPush: true,
        profile: options.profile,
      }),
    async fresh(label, { compression, larder }) {
      if (larder === 'empty') {
        const dir = join(workDir, 'larder-empty')
        rmSync(dir, { recursive: true, force: true })
        return open(label, compression, dir)
      }
      // A larder belongs to one process at a time: the standing one makes room, and is started again when it is next
      // asked for.
      await standing.compressed?.burrow?.[Symbol.asyncDispose]()
      standing.compressed = undefined
      return open(label, compression, warmLarderDir)
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

interface Running {
  readonly pair: Pair
  readonly burrow?: Burrow
}
