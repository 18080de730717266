/**
 * What stock Nix sends with `nix copy --to http://127.0.0.1:8078`, forwarded by the push protocol: NARs of any size,
 * over a line that breaks. A NAR waits in the spool until its narinfo comes; that is answered when the far end has the
 * path for good.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

import { Fault } from '../../faults.ts'
import type { Log } from '../../log.ts'
import { parseNarFileUrl } from '../../nix/nar-file-url.ts'
import type { Compression, NarInfo } from '../../nix/nar-info.ts'
import { parseNarInfo } from '../../nix/parse-nar-info.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import { PushFault } from '../../push/push-fault.ts'
import { readAtMost } from '../../read-at-most.ts'
import type { Store } from '../../store/store.ts'
import { isSideFile } from '../side-files.ts'
import type { NarSpool } from './nar-spool.ts'
import type { PushedFiles, PushedNar } from './pushed-files.ts'
import { createSpooledStore } from './spooled-object.ts'

export interface UploadHandlerOptions {
  readonly spool: NarSpool
  readonly pushed: PushedFiles
  readonly storeDir: string
  /** Pushes one path, without what it refers to. Rejects with a PushFault or a Fault. */
  readonly push: (storePath: string, store: Store) => Promise<void>
  /** Sends a small file to the far end as it is. Resolves with its status and text. Rejects with a PushFault. */
  readonly forward: (path: string, body: Buffer) => Promise<{ readonly status: number; readonly text: string }>
  readonly log: Log
}

const maxNarInfoBytes = 1024 * 1024
const maxForwardedBytes = 32 * 1024 * 1024
/** Nix gives up on a request on which nothing happens for 300 s: then the reply begins, and its end is what counts. */
const quietMs = 60_000
const signOfLifeMs = 20_000
/** A failure that could not be reported in time is reported when Nix retries. */
const rememberedMs = 120_000
/** Nix 2.8 hangs when a 5xx comes during an upload, so each refusal is a 4xx. */
const unavailableStatus = 424

interface Outcome {
  readonly status: number
  readonly text: string
}

export class UploadHandler {
  readonly #options: UploadHandlerOptions
  /** Under way, or ended lately, by hash part and NAR hash. */
  readonly #pushes = new Map<string, Promise<Outcome>>()

  constructor(options: UploadHandlerOptions) {
    this.#options = options
  }

  /** True if Nix need not send this NAR again. */
  hasNar(path: string): boolean {
    const url = parseNarFileUrl(path)
    return url !== undefined && this.#options.spool.find(url.fileHash) !== undefined
  }

  /** What a file was that Nix pushed earlier: `nar/<file hash>.nar.zst`. */
  findPushed(path: string): (PushedNar & { readonly compression: Compression }) | undefined {
    const url = parseNarFileUrl(path)
    const nar = url && this.#options.pushed.find(url.fileHash)
    return nar && { ...nar, compression: url.compression }
  }

  /** Answers a PUT. Rejects only if the body breaks off. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').slice(1)
    const nar = parseNarFileUrl(path)
    if (nar !== undefined) return finish(response, await this.#takeNar(nar, request))
    if (/^[0-9a-df-np-sv-z]{32}\.narinfo$/.test(path)) return await this.#takeNarInfo(path, request, response)
    if (/^[0-9a-df-np-sv-z]{32}\.ls$/.test(path)) {
      // The far end makes listings by itself.
      for await (const piece of request) void piece
      return finish(response, { status: 200, text: '' })
    }
    if (path !== 'nix-cache-info' && !isSideFile(path))
      return finish(response, { status: 405, text: 'Only what Nix writes into a binary cache can be put here' })
    const body = await readAtMost(request, maxForwardedBytes)
    finish(
      response,
      body === undefined
        ? { status: 413, text: `It has more than ${maxForwardedBytes} bytes` }
        : await this.#options.forward(path, body).catch((error: unknown) => this.#refusal(path, error)),
    )
  }

  async #takeNar(nar: NonNullable<ReturnType<typeof parseNarFileUrl>>, request: IncomingMessage): Promise<Outcome> {
    try {
      await this.#options.spool.receive(nar, request as AsyncIterable<Buffer>)
      return { status: 201, text: '' }
    } catch (error) {
      return this.#refusal(nar.fileHash, error)
    }
  }

  async #takeNarInfo(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { storeDir } = this.#options
    const text = await readAtMost(request, maxNarInfoBytes)
    const narInfo = text === undefined ? undefined : parseNarInfo(text.toString('utf8'), storeDir)
    if (narInfo === undefined || `${hashPartOf(narInfo.storePath)}.narinfo` !== path)
      return finish(response, { status: 422, text: `This is no narinfo of a path in ${storeDir}` })
    await finishInTime(response, this.#pushOnce(narInfo))
  }

  /** One push, however often Nix asks for it. */
  #pushOnce(narInfo: NarInfo): Promise<Outcome> {
    const key = `${narInfo.storePath} ${narInfo.narHash}`
    const present = this.#pushes.get(key)
    if (present !== undefined) return present
    const push = this.#push(narInfo)
    this.#pushes.set(key, push)
    void push.then(({ status }) => {
      const forget = () => void this.#pushes.delete(key)
      if (status < 300) forget()
      else setTimeout(forget, rememberedMs).unref()
    })
    return push
  }

  async #push(narInfo: NarInfo): Promise<Outcome> {
    const { spool, pushed, storeDir, push } = this.#options
    const fileHash = parseNarFileUrl(narInfo.url)?.fileHash ?? narInfo.fileHash ?? ''
    const nar = spool.find(fileHash)
    if (nar === undefined)
      return { status: 422, text: `The NAR of ${narInfo.storePath} has not arrived: run the copy again` }
    if (nar.narHash !== narInfo.narHash || nar.narSize !== narInfo.narSize)
      return {
        status: 422,
        text: `The NAR of ${narInfo.storePath} has the hash ${nar.narHash} and ${nar.narSize} bytes, not ${narInfo.narHash} and ${narInfo.narSize}`,
      }
    try {
      await push(narInfo.storePath, createSpooledStore(storeDir, narInfo, nar))
      await spool.remove(fileHash)
      await pushed.add(fileHash, { hashPart: hashPartOf(narInfo.storePath), narHash: narInfo.narHash })
      return { status: 201, text: '' }
    } catch (error) {
      return this.#refusal(narInfo.storePath, error)
    }
  }

  #refusal(what: string, error: unknown): Outcome {
    const { message, code } = error as NodeJS.ErrnoException
    this.#options.log.warn({ what, reason: message }, 'Could not take an upload')
    if (error instanceof PushFault) {
      if (error.code === 'unauthorized' || error.code === 'forbidden') return { status: 403, text: message }
      return { status: error.code === 'refused' ? (error.status ?? 422) : unavailableStatus, text: message }
    }
    if (error instanceof Fault) return { status: error.code === 'nar-unreadable' ? 415 : 422, text: message }
    if (code === 'ENOSPC' || code === 'EDQUOT')
      return {
        status: 413,
        text: 'The disk of this machine has no room for the NAR: free some, and run the copy again',
      }
    return { status: unavailableStatus, text: `The relay could not take it: ${message}` }
  }
}

/** A reply that was begun already can only be broken off: Nix asks again, and gets the status then. */
async function finishInTime(response: ServerResponse, outcome: Promise<Outcome>): Promise<void> {
  let ticking: NodeJS.Timeout | undefined
  const timer = setTimeout(() => {
    response.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'no-store' })
    const sayAlive = () => response.write('\n')
    sayAlive()
    ticking = setInterval(sayAlive, signOfLifeMs)
  }, quietMs)
  try {
    const { status, text } = await outcome
    if (!response.headersSent) finish(response, { status, text })
    else if (status < 300) response.end()
    else response.destroy()
  } finally {
    clearTimeout(timer)
    clearInterval(ticking)
  }
}

function finish(response: ServerResponse, { status, text }: Outcome): void {
  const body = Buffer.from(text === '' ? '' : `${text}\n`)
  const isClosing = status >= 300
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': String(body.length),
    'cache-control': 'no-store',
    ...(isClosing && { connection: 'close' }),
  })
  response.end(body)
}
