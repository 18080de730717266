/**
 * A local store in a process of its own that gives up root first: what an unprivileged server sees. Answers each
 * message `{ id, ask, … }` with `{ id, answer }`. The modules are loaded while it is still root, since the source may
 * lie where nobody else can read.
 */
import { type LocalStore, openLocalStore } from '../../../src/store/nix/local-store.ts'
import { ManualClock } from '../../manual-clock.ts'
import { recordLog } from '../recorded-log.ts'

export interface ReaderOptions {
  readonly uid: number
  readonly storeDir: string
  readonly realStoreDir: string
  readonly database: string
  readonly daemonSocket?: string
}

export type ReaderRequest =
  | { readonly ask: 'open'; readonly options: ReaderOptions }
  | { readonly ask: 'find'; readonly hashPart: string }
  | { readonly ask: 'generation' | 'health' | 'log' }
  | { readonly ask: 'advance'; readonly byMs: number }

const clock = new ManualClock()
const log = recordLog()
let store: LocalStore | undefined

async function answer(request: ReaderRequest): Promise<unknown> {
  switch (request.ask) {
    case 'open': {
      const { uid, storeDir, realStoreDir, database, daemonSocket } = request.options
      process.setgroups?.([])
      process.setgid?.(uid)
      process.setuid?.(uid)
      store = await openLocalStore({
        storeDir,
        realStoreDir,
        database,
        daemonSocket,
        leases: { narInfoSeconds: 600, maxPaths: 100 },
        log,
        clock,
      })
      return store.health()
    }
    case 'find':
      return store?.find(request.hashPart)?.info.storePath
    case 'generation':
      return store?.generation()
    case 'health':
      return store?.health()
    case 'log':
      return log.loud()
    case 'advance':
      return clock.advance(request.byMs)
  }
}

process.on('message', async ({ id, ...request }: ReaderRequest & { readonly id: number }) => {
  try {
    process.send?.({ id, answer: await answer(request as ReaderRequest) })
  } catch (error) {
    process.send?.({ id, error: (error as Error).message, code: (error as { code?: unknown }).code })
  }
})
