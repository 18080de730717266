/**
 * One file over HTTPS, hashed while it is written, and bounded: in time, in silence, in size, in redirects, which lead
 * nowhere but by HTTPS.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { Agent, get } from 'node:https'
import type { Duplex } from 'node:stream'

import { Complaint } from '../../complaint.ts'
import type { Environment } from '../launch/connector-env.ts'
import type { TunnelClock } from '../tunnel-clock.ts'

export interface FetchLimits {
  readonly wholeMs: number
  /** So long it may bring nothing. */
  readonly stallMs: number
  readonly maxBytes: number
}

export interface FetchWish {
  readonly url: string
  /** Where to: absolute, and not there yet. It gets mode 0600, and is on the disk for good when this resolves. */
  readonly to: string
  /** The proxy to go by. */
  readonly env: Environment
  readonly limits: FetchLimits
  readonly clock: Pick<TunnelClock, 'after'>
  readonly signal: AbortSignal
  /** Bytes that are there by now. */
  readonly onProgress: (bytes: number) => void
}

/**
 * Resolves to the SHA-256 of what came, in hexadecimal. What was written when it fails is left to the caller. @throws
 * {FetchStopped | Complaint}, errors of the system
 */
export type FetchFile = (wish: FetchWish) => Promise<string>

export type OpenRequest = (url: URL, options: { readonly agent: Agent; readonly signal: AbortSignal }) => ClientRequest

/** Why it was ended, to follow "it cannot be fetched from …: ". */
export class FetchStopped extends Error {
  override readonly name = 'FetchStopped'
}

const maxRedirects = 5
/** A line of progress for each of these. */
const progressBytes = 1024 * 1024
const proxyVariables = ['HTTPS_PROXY', 'https_proxy', 'NO_PROXY', 'no_proxy']

export const fetchFile: FetchFile = createFetchFile((url, options) => get(url, options))

export function createFetchFile(openRequest: OpenRequest): FetchFile {
  return async (wish) => {
    using bounds = startBounds(wish)
    const agent = new EndingAgent({
      proxyEnv: Object.fromEntries(proxyVariables.map((name) => [name, wish.env[name]])),
    })
    try {
      return await storeBody(
        await follow(new URL(wish.url), (url) => openRequest(url, { agent, signal: bounds.signal }), bounds.signal),
        wish,
        bounds,
      )
    } catch (error) {
      if (bounds.signal.aborted) throw bounds.signal.reason
      // Of several addresses that were tried each has its own error, and the whole has no message.
      throw (error as { errors?: unknown[] }).errors?.[0] ?? error
    } finally {
      agent.destroy()
    }
  }
}

/**
 * Its `destroy` also ends a connection that still waits for the answer of a proxy, which would keep the process alive.
 */
class EndingAgent extends Agent {
  readonly #opened = new Set<Duplex>()

  override createConnection(...args: Parameters<Agent['createConnection']>): ReturnType<Agent['createConnection']> {
    const socket = super.createConnection(...args)
    if (socket) this.#opened.add(socket)
    return socket
  }

  override destroy(): void {
    super.destroy()
    for (const socket of this.#opened) socket.destroy()
  }
}

interface Bounds extends Disposable {
  readonly signal: AbortSignal
  /** Something came. */
  touch(): void
}

function startBounds({ limits, clock, signal }: FetchWish): Bounds {
  const end = new AbortController()
  const stop = (why: string) => end.abort(new FetchStopped(why))
  const interrupt = () => end.abort(new Complaint('interrupted', 'Interrupted: nothing was installed'))
  const awaitMore = () => clock.after(limits.stallMs, () => stop(`nothing came for ${limits.stallMs / 1000} s`))
  const forgetWhole = clock.after(limits.wholeMs, () => stop(`it was not done within ${limits.wholeMs / 1000} s`))
  let forgetStall = awaitMore()
  if (signal.aborted) interrupt()
  signal.addEventListener('abort', interrupt)
  return {
    signal: end.signal,
    touch() {
      forgetStall()
      forgetStall = awaitMore()
    },
    [Symbol.dispose]() {
      forgetStall()
      forgetWhole()
      signal.removeEventListener('abort', interrupt)
    },
  }
}

async function follow(
  url: URL,
  openRequest: (url: URL) => ClientRequest,
  signal: AbortSignal,
  redirects = 0,
): Promise<IncomingMessage> {
  const request = openRequest(url)
  request.on('error', () => {})
  // Not by the request alone: one that waits for its proxy does not notice that it is ended.
  const [response] = (await once(request, 'response', { signal })) as [IncomingMessage]
  const { statusCode: status = 0, headers } = response
  if (status >= 200 && status < 300) return response
  request.destroy()
  if (![301, 302, 303, 307, 308].includes(status) || headers.location === undefined)
    throw new FetchStopped(`the answer is HTTP ${status}`)
  const next = URL.parse(headers.location, url.href)
  if (next?.protocol !== 'https:') throw new FetchStopped('it is redirected to an address that is not https')
  if (redirects === maxRedirects) throw new FetchStopped(`it is redirected more than ${maxRedirects} times`)
  return await follow(next, openRequest, signal, redirects + 1)
}

async function storeBody(
  response: IncomingMessage,
  { to, limits, onProgress }: FetchWish,
  bounds: Bounds,
): Promise<string> {
  await using handle = await open(to, 'wx', 0o600)
  const hash = createHash('sha256')
  let bytes = 0
  let reported = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bounds.touch()
    bytes += chunk.length
    if (bytes > limits.maxBytes)
      throw new FetchStopped(`what came is larger than ${limits.maxBytes / (1024 * 1024)} MiB, and no cloudflared is`)
    hash.update(chunk)
    await handle.writeFile(chunk)
    if (bytes - reported < progressBytes) continue
    reported = bytes
    onProgress(bytes)
  }
  bounds.signal.throwIfAborted()
  // So that after a power cut the name never leads to nothing.
  await handle.sync()
  onProgress(bytes)
  return hash.digest('hex')
}
