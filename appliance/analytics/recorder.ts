/**
 * Counts requests in memory and passes the sums on every few seconds. A narinfo request costs a look-up of its user and
 * two additions; no clock, no text. Memory is bounded: what exceeds a limit is summed up without its name.
 */
import { baseNameOf, type Exchange, type Observer } from '../../src/index.ts'
import { type Batch, createUserSum, type DropChange, type SlowSum, type UserSum } from './batch.ts'
import { networkOf } from './network.ts'
import { savedBytesOf } from './saved-bytes.ts'

export interface RecorderOptions {
  /** Takes a batch; false if it cannot take one yet. */
  readonly pass: (batch: Batch) => boolean
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly after: (ms: number, callback: () => void) => () => void
  readonly keepsNetworks: boolean
}

export interface Recorder {
  readonly observer: Observer
  /** The tunnel was lost, or is back. */
  noteDrop(change: DropChange): void
  /** Passes on what was counted so far. */
  flush(): void
}

const hourMs = 3_600_000
const batchMs = 5_000
/** Users in a batch. */
const maxUsers = 1000
/** Different paths and absent paths in a batch, of all users. */
const maxNames = 20_000
const maxNetworksPerUser = 20
const maxSlow = 50
const maxDrops = 100
/** A smaller NAR says nothing about the line. */
export const minSlowBytes = 1024 * 1024

export function createRecorder({ pass, now, after, keepsNetworks }: RecorderOptions): Recorder {
  let users = new Map<string, UserSum>()
  let slow: SlowSum[] = []
  let drops: DropChange[] = []
  let names = 0
  let at = 0
  let cancel: (() => void) | undefined
  let noted: { readonly sum?: UserSum; readonly address?: string } = {}

  function begin(): void {
    at = now()
    cancel = after(Math.min(batchMs, hourMs - (at % hourMs)), flush)
  }

  function flush(): void {
    cancel?.()
    cancel = undefined
    if (users.size === 0 && drops.length === 0) return
    if (!pass({ at, users: [...users.values()], slow, drops })) {
      // The sums grow in number no further than the limits, so they can wait.
      cancel = after(batchMs, flush)
      return
    }
    users = new Map()
    slow = []
    drops = []
    names = 0
  }

  function sumOf(user: string, exchange: Exchange): UserSum {
    const known = users.get(user)
    if (known !== undefined) return known
    if (cancel === undefined) begin()
    if (users.size >= maxUsers && user !== '') return sumOf('', exchange)
    const sum = createUserSum(user)
    users.set(user, sum)
    noteNetwork(sum, exchange)
    return sum
  }

  /** Of a user's first request in a batch, of downloads and of pushes: it is not known without parsing headers. */
  function noteNetwork(sum: UserSum, { address }: Exchange): void {
    const { networks } = sum
    if (!keepsNetworks || networks.size >= maxNetworksPerUser) return
    // A closure is thousands of downloads from one address.
    if (sum === noted.sum && address === noted.address) return
    noted = { sum, address }
    const network = networkOf(address)
    if (network !== undefined) networks.add(network)
  }

  /** The name itself, or `''` if there are too many. */
  function nameWithin(known: ReadonlyMap<string, unknown>, name: string): string {
    if (known.has(name)) return name
    if (names >= maxNames) return ''
    names++
    return name
  }

  function addMissed({ missed }: UserSum, hashParts: readonly string[]): void {
    for (const hashPart of hashParts) {
      const name = nameWithin(missed, hashPart)
      missed.set(name, (missed.get(name) ?? 0) + 1)
    }
  }

  function addTransfer(sum: UserSum, exchange: Exchange): void {
    const { nar, bytes, isComplete, servedFrom, storePath } = exchange
    const isDownload = isComplete && nar!.reachesEnd
    if (isDownload) sum.downloads++
    if (!isComplete) sum.cut++
    const saved = savedBytesOf(exchange)
    if (saved?.by === 'compression') sum.compressionSaved += saved.bytes
    if (saved?.by === 'delta') sum.deltaSaved += saved.bytes
    if (servedFrom === 'upstream') sum.upstreamBytes += bytes
    noteNetwork(sum, exchange)
    if (storePath === undefined) return
    const baseName = baseNameOf(storePath)
    const name = nameWithin(sum.paths, baseName)
    const path = sum.paths.get(name) ?? { downloads: 0, bytes: 0 }
    if (isDownload) path.downloads++
    path.bytes += bytes
    sum.paths.set(name, path)
    if (bytes >= minSlowBytes) addSlow(sum.user, baseName, exchange)
  }

  function addSlow(user: string, baseName: string, { bytes, durationMs, isComplete }: Exchange): void {
    const entry = { at: now(), user, baseName, bytes, durationMs: Math.max(1, Math.round(durationMs)), isComplete }
    slow.push(entry)
    if (slow.length <= maxSlow) return
    slow.sort((a, b) => a.bytes / a.durationMs - b.bytes / b.durationMs)
    slow.pop()
  }

  function addPush(sum: UserSum, exchange: Exchange): void {
    const { receivedBytes, registered } = exchange.push!
    if (receivedBytes === 0 && registered === 0) return
    sum.pushedPaths += registered
    sum.receivedBytes += receivedBytes
    noteNetwork(sum, exchange)
  }

  return {
    observer: {
      exchanged(exchange) {
        if (exchange.isAdmitted !== true) return
        const sum = sumOf(exchange.user ?? '', exchange)
        sum.requests++
        sum.bytes += exchange.bytes
        if (exchange.missed !== undefined) addMissed(sum, exchange.missed)
        if (exchange.nar !== undefined) addTransfer(sum, exchange)
        if (exchange.push !== undefined) addPush(sum, exchange)
      },
    },
    noteDrop(change) {
      if (cancel === undefined) begin()
      if (drops.length < maxDrops) drops.push(change)
    },
    flush,
  }
}
