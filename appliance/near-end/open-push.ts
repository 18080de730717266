/** Opens what every push command needs: this machine's store for reading, and the connection to the cache. */
import { setTimeout as sleep } from 'node:timers/promises'

import { FarEnd, type LocalStore, openLocalStore, PushFault, silentLog } from '../../src/index.ts'
import { Complaint, type ComplaintCode } from '../complaint.ts'
import type { Machine } from '../machine.ts'
import { printable } from '../terminal/format.ts'
import { readVersion } from '../version.ts'
import { type LocateOptions, locateFarEnd } from './credentials.ts'
import { findNixStore, type NixStorePlace } from './nix-store.ts'

export interface PushEnds extends AsyncDisposable {
  readonly store: LocalStore
  readonly place: NixStorePlace
  readonly farEnd: FarEnd
  /** User name of the login; `undefined` for a public cache. */
  readonly user: string | undefined
}

export interface OpenPushOptions extends LocateOptions {
  readonly jobs: number
  readonly patienceMs: number
  readonly onRetry: (reason: string, waitMs: number) => void
  readonly signal?: AbortSignal
}

/** Rejects with a Complaint. */
export async function openPushEnds(machine: Machine, options: OpenPushOptions): Promise<PushEnds> {
  const location = await locateFarEnd(machine, options)
  const place = findNixStore(machine.env)
  const leases = { narInfoSeconds: 600, maxPaths: 10_000_000 }
  const store = await openLocalStore({
    ...place,
    storeDir: place.dir,
    realStoreDir: place.realDir,
    leases,
    log: silentLog,
  })
  const farEnd = openFarEnd(location, options)
  return {
    store,
    place,
    farEnd,
    user: location.user,
    async [Symbol.asyncDispose]() {
      farEnd[Symbol.dispose]()
      await store[Symbol.asyncDispose]()
    },
  }
}

export function openFarEnd(
  { url, authorization }: Awaited<ReturnType<typeof locateFarEnd>>,
  { jobs, patienceMs, onRetry, signal }: Omit<OpenPushOptions, keyof LocateOptions>,
): FarEnd {
  return new FarEnd({
    url,
    authorization,
    version: readVersion(),
    patienceMs,
    connections: jobs + 2,
    now: () => performance.now(),
    sleep: (ms) => sleep(ms, undefined, { ...(signal && { signal }) }),
    random: Math.random,
    onRetry,
    ...(signal && { signal }),
  })
}

/** `reason`: `ECONNREFUSED`, `HTTP 503` */
export function retryNote(url: URL | string, reason: string, waitMs: number): string {
  const shown = String(url).replace(/\/$/, '')
  return `No answer from ${shown} (${printable(reason)}): retrying in ${Math.ceil(waitMs / 1000)} s`
}

/** Runs requests to the cache, which are retried for a minute. Rejects with a Complaint. */
export async function askFarEnd<T>(
  machine: Machine,
  options: LocateOptions,
  ask: (farEnd: FarEnd) => Promise<T>,
): Promise<T> {
  const location = await locateFarEnd(machine, options)
  const onRetry = (reason: string, waitMs: number) =>
    machine.stderr.write(`${retryNote(location.url, reason, waitMs)}\n`)
  using farEnd = openFarEnd(location, { jobs: 1, patienceMs: 60_000, onRetry })
  try {
    return await ask(farEnd)
  } catch (error) {
    throw toComplaint(error)
  }
}

const complaintByFault: Readonly<Record<PushFault['code'], ComplaintCode>> = {
  unreachable: 'unavailable',
  unauthorized: 'unauthorized',
  forbidden: 'unauthorized',
  challenged: 'unauthorized',
  refused: 'rejected',
  unreadable: 'refused',
  protocol: 'refused',
}

/** Converts a PushFault to a Complaint; returns other errors unchanged. */
export function toComplaint(error: unknown): unknown {
  return error instanceof PushFault
    ? new Complaint(complaintByFault[error.code], error.message, { cause: error })
    : error
}
