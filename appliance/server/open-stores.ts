/**
 * Everything that is served, opened as the config says: the depot first, then this machine's Nix store, folders, and
 * other caches.
 */
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import {
  createFileBuffers,
  createLocalSource,
  type Decompressors,
  type Depot,
  formatBasicAuthorization,
  keepInDepot,
  type LocalStore,
  openDepot,
  openDirectoryStore,
  openLocalStore,
  openPublishedStore,
  openUpstreamStore,
  type PublishedStore,
  type Store,
  type UpstreamStore,
} from '../../src/index.ts'
import { Complaint, reasonOf } from '../complaint.ts'
import type { Config, UpstreamConfig } from '../config/config.ts'
import type { Machine } from '../machine.ts'
import { findDecompressors } from './decompressors.ts'
import { toPlace } from './store-place.ts'

export interface OpenedStores extends AsyncDisposable {
  /** In the order in which they are asked. */
  readonly stores: readonly Store[]
  readonly depot: Depot | undefined
  /**
   * The path with this hash part that a derivation in the Nix store would make; undefined if it is not known, or if only
   * some paths are published.
   */
  findExpected(hashPart: string): string | undefined
  /** The Nix store, if only some of its paths are published. */
  readonly published: PublishedStore | undefined
}

/** @throws {Complaint} state, config */
export async function openStores(
  config: Config,
  machine: Machine,
  version: string,
  log: Logger,
): Promise<OpenedStores> {
  await using opening = new AsyncDisposableStack()
  const decompressors = findDecompressors(machine.env.PATH)
  const { store, depot: wanted } = config
  const local =
    wanted !== undefined && !existsSync(store.realDir)
      ? undefined
      : opening.use(await openLocal(config, decompressors, log))
  if (local === undefined) {
    log.info(
      { dir: store.realDir },
      `There is no Nix store on this machine: only pushed store paths are served. After installing Nix, restart Burrow`,
    )
  }
  const published = local && opening.use(openPublished(config, local, log))
  // The depot compares what is pushed with it, and copies references from it: what is unpublished is absent there, too.
  const visible = published ?? local
  const depot = wanted === undefined ? undefined : opening.use(await openDepotOf(config, machine, visible, log))
  const folders = await Promise.all(
    config.stores.map(({ dir }) => openDirectoryStore({ dir, storeDir: store.dir, decompressors, log })),
  )
  const upstreams: { readonly mode: UpstreamConfig['mode']; readonly store: UpstreamStore }[] = []
  const shared = config.upstreams.length === 0 ? undefined : opening.use(createFileBuffers())
  const spoolDir = config.upstreams.length === 0 ? undefined : await makeSpoolDir(config.state.dir)
  for (const upstream of config.upstreams) {
    const opened = openUpstreamStore({
      url: upstream.url,
      authorization: await authorizationOf(upstream),
      publicKeys: upstream.publicKeys,
      storeDir: store.dir,
      spoolDir: spoolDir!,
      keep: upstream.keep && depot !== undefined ? keepInDepot(depot, upstream.url.host) : undefined,
      ...shared!,
      decompressors,
      version,
      log,
      now: () => performance.now(),
    })
    upstreams.push({ mode: upstream.mode, store: opening.use(opened) })
  }
  const ofMode = (mode: UpstreamConfig['mode']) => upstreams.filter((one) => one.mode === mode).map((one) => one.store)
  const own = [depot, visible, ...folders].filter((each) => each !== undefined)
  const opened = opening.move()
  return {
    stores: [...ofMode('always'), ...own, ...ofMode('on-miss')],
    depot,
    // Derivations are rarely published, and name what is not.
    findExpected: (hashPart) => findExpected(published === undefined ? local : undefined, hashPart),
    published,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

/** The name is not worth an error. */
function findExpected(local: LocalStore | undefined, hashPart: string): string | undefined {
  try {
    return local?.expectedOutput(hashPart)
  } catch {
    return undefined
  }
}

/**
 * On the disk of the state, not in the runtime directory: that is memory on most machines, and a NAR has gigabytes.
 * What an earlier run left is removed.
 */
async function makeSpoolDir(stateDir: string): Promise<string> {
  const dir = join(stateDir, 'upstream')
  await rm(dir, { recursive: true, force: true })
  await mkdir(dir, { recursive: true, mode: 0o700 })
  return dir
}

function openLocal({ store, leases }: Config, decompressors: Decompressors, log: Logger): Promise<LocalStore> {
  return openLocalStore({ ...store, storeDir: store.dir, realStoreDir: store.realDir, leases, decompressors, log })
}

function openPublished({ publish, store }: Config, local: LocalStore, log: Logger): PublishedStore | undefined {
  if (publish === undefined) return undefined
  return openPublishedStore({ local, policy: publish, place: toPlace(store), log })
}

async function openDepotOf(
  { depot, store }: Config,
  { env, pid }: Machine,
  local: Store | undefined,
  log: Logger,
): Promise<Depot> {
  const { dir, maxBytes, keepFree, policy } = depot!
  try {
    return await openDepot({
      dir,
      storeDir: store.dir,
      maxBytes,
      keepFree,
      policy,
      searchPath: env.PATH ?? '',
      decompressors: findDecompressors(env.PATH),
      log,
      local: local && createLocalSource(local),
      pid,
    })
  } catch (error) {
    throw new Complaint('state', `Cannot open the depot "${dir}": ${(error as Error).message}`, { cause: error })
  }
}

async function authorizationOf({ url, user, passwordFile }: UpstreamConfig): Promise<string | undefined> {
  if (user === undefined || passwordFile === undefined) return undefined
  try {
    const password = (await readFile(passwordFile, 'utf8')).replace(/\r?\n$/, '')
    return formatBasicAuthorization({ name: user, password })
  } catch (error) {
    throw new Complaint('config', `Cannot read "${passwordFile}", the password for ${url.href}: ${reasonOf(error)}`, {
      cause: error,
    })
  }
}
