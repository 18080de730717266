/**
 * What Nix sees on loopback: a binary cache with uncompressed NARs. A far end that is away, or has nothing, is a 404 at
 * once, so that Nix goes on without it: anything else would break a build.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createBrotliCompress, createGzip, createZstdCompress } from 'node:zlib'

import type { ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import type { Log } from '../log.ts'
import { type CacheInfo, formatCacheInfo } from '../nix/cache-info.ts'
import { type Compression, formatNarInfo, type NarInfo } from '../nix/nar-info.ts'
import { hashPartOf } from '../nix/store-path.ts'
import { filteredReader } from '../stream-reader.ts'
import type { Line } from './line.ts'
import type { KnownPath } from './narinfos.ts'
import { passOn } from './pass-on.ts'
import { sendChunks } from './send-chunks.ts'
import { isSideFile } from './side-files.ts'

export type MayConnect = (socket: Socket) => boolean

/** See uploads/upload-handler.ts. */
export interface RelayUploads {
  readonly handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>
  /** True if Nix need not send this NAR (`nar/<file hash>.nar.xz`) again. */
  readonly hasNar: (path: string) => boolean
  /** What a file was that Nix pushed earlier; undefined if that is not known. */
  readonly findPushed: (
    path: string,
  ) => { readonly hashPart: string; readonly narHash: string; readonly compression: Compression } | undefined
}

export interface RelayServerOptions {
  readonly readCacheInfo: () => CacheInfo
  /** Undefined if it is absent, or the far end is away. Never rejects. */
  readonly findPath: (hashPart: string) => Promise<KnownPath | undefined>
  /** For a NAR: waits for the far end as long as patience lasts. Never rejects. */
  readonly findNar: (hashPart: string, narHash: string) => Promise<KnownPath | undefined>
  readonly openNar: (path: KnownPath) => ChunkReader
  readonly line: Line
  /** As JSON at `/v1/relay/status`. */
  readonly readStatus: () => object
  /** Undefined: nothing can be pushed. */
  readonly uploads?: RelayUploads
  readonly mayConnect?: MayConnect
  readonly log: Log
}

export const relayStatusPath = 'v1/relay/status'

const narInfoTarget = /^\/([0-9a-df-np-sv-z]{32})\.narinfo$/
const narTarget = /^\/nar\/([0-9a-df-np-sv-z]{32})-([01][0-9a-df-np-sv-z]{51})\.nar$/
const listingTarget = /^\/[0-9a-df-np-sv-z]{32}\.ls$/
const compressors: Readonly<Partial<Record<Compression, () => Duplex>>> = {
  zstd: createZstdCompress,
  gzip: createGzip,
  br: createBrotliCompress,
}

export function createRelayServer(options: RelayServerOptions): Server {
  const { mayConnect = () => true, log } = options
  const server = createServer({ keepAliveTimeout: 120_000, requestTimeout: 0, noDelay: true }, (request, response) => {
    if (!isForUs(request)) return refuse(response, 421)
    if (!mayConnect(request.socket)) return refuse(response, 403)
    serve(options, request, response).catch((error: unknown) => {
      log.error({ err: error as object, target: request.url }, 'A request failed')
      if (response.headersSent) response.destroy()
      else refuse(response, 404)
    })
  })
  server.on('clientError', (_error, socket) => void socket.destroy())
  return server
}

async function serve(options: RelayServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method, url = '/' } = request
  if (method === 'PUT' && options.uploads !== undefined) return await options.uploads.handle(request, response)
  if (method !== 'GET' && method !== 'HEAD') return refuse(response, 405)
  const target = url.split('?', 1)[0]!
  const narInfo = narInfoTarget.exec(target)
  if (narInfo !== null) return await serveNarInfo(options, response, narInfo[1]!)
  const nar = narTarget.exec(target)
  if (nar !== null) return await serveNar(options, request, response, nar[1]!, `sha256:${nar[2]!}`)
  if (target === '/nix-cache-info')
    return send(response, 'text/x-nix-cache-info', formatCacheInfo(options.readCacheInfo()))
  if (target === `/${relayStatusPath}`)
    return send(response, 'application/json', `${JSON.stringify(options.readStatus())}\n`)
  if (listingTarget.test(target) || isSideFile(target.slice(1)))
    return void ((await passOn(options.line, request, response, target.slice(1))) || refuse(response, 404))
  if (method === 'HEAD' && options.uploads?.hasNar(target.slice(1)) === true) return void response.writeHead(200).end()
  const pushed = options.uploads?.findPushed(target.slice(1))
  if (pushed !== undefined) return await servePushed(options, request, response, pushed)
  refuse(response, 404)
}

async function serveNarInfo(options: RelayServerOptions, response: ServerResponse, hashPart: string): Promise<void> {
  const path = await options.findPath(hashPart)
  if (path === undefined) return refuse(response, 404)
  send(response, 'text/x-nix-narinfo', formatNarInfo(toLocal(path.narInfo)))
}

/** The signature covers neither the URL nor the compression. */
function toLocal(narInfo: NarInfo): NarInfo {
  const { storePath, narHash, narSize } = narInfo
  const url = `nar/${hashPartOf(storePath)}-${narHash.slice('sha256:'.length)}.nar`
  return { ...narInfo, url, compression: 'none', fileHash: narHash, fileSize: narSize }
}

/** In the compression that Nix remembers, made again: Nix checks the NAR, not the file. */
async function servePushed(
  options: RelayServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
  { hashPart, narHash, compression }: NonNullable<ReturnType<RelayUploads['findPushed']>>,
): Promise<void> {
  if (compression === 'none') return await serveNar(options, request, response, hashPart, narHash)
  const compressor = compressors[compression]?.()
  const path = compressor && (await options.findNar(hashPart, narHash))
  if (compressor === undefined || path === undefined) return refuse(response, 404)
  const header = { 'content-type': 'application/x-nix-nar', 'cache-control': 'no-store' }
  if (request.method === 'HEAD') return void response.writeHead(200, header).end()
  await sendNar(options, response, path, filteredReader(options.openNar(path), compressor), 0, () =>
    response.writeHead(200, header),
  )
}

async function serveNar(
  options: RelayServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
  hashPart: string,
  narHash: string,
): Promise<void> {
  const path = await options.findNar(hashPart, narHash)
  if (path === undefined) return refuse(response, 404)
  const { narSize } = path.narInfo
  const start = startOf(request, narSize)
  const status = start === 0 ? 200 : 206
  const header = {
    'content-type': 'application/x-nix-nar',
    'content-length': String(narSize - start),
    'accept-ranges': 'bytes',
    'cache-control': 'no-store',
    etag: `"${narHash.slice('sha256:'.length)}"`,
    ...(start > 0 && { 'content-range': `bytes ${start}-${narSize - 1}/${narSize}` }),
  }
  if (request.method === 'HEAD') return void response.writeHead(status, header).end()
  await sendNar(options, response, path, options.openNar(path), start, () => response.writeHead(status, header))
}

async function sendNar(
  { log }: RelayServerOptions,
  response: ServerResponse,
  { narInfo: { storePath } }: KnownPath,
  chunks: ChunkReader,
  start: number,
  begin: () => void,
): Promise<void> {
  try {
    await sendChunks(response, chunks, start, begin)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    if (error.code !== 'abandoned')
      log.debug({ storePath, code: error.code, reason: error.message }, 'Could not send a NAR')
    if (response.headersSent || error.code === 'abandoned') response.destroy()
    // Nix then asks the next cache, or builds; it would fail for anything else.
    else refuse(response, 404)
  }
}

/** Nix continues a transfer that was cut with `Range: bytes=N-`. Anything else gets the whole. */
function startOf({ method, headers }: IncomingMessage, size: number): number {
  const start = method === 'GET' ? Number(/^bytes=(\d{1,15})-$/.exec(headers.range ?? '')?.[1] ?? 0) : 0
  return start < size ? start : 0
}

function send(response: ServerResponse, type: string, text: string): void {
  const body = Buffer.from(text)
  response.writeHead(200, { 'content-type': type, 'content-length': String(body.length), 'cache-control': 'no-store' })
  response.end(body)
}

function refuse(response: ServerResponse, status: 403 | 404 | 405 | 421): void {
  const closes = status === 404 ? {} : { connection: 'close' }
  response.writeHead(status, { 'content-length': '0', 'cache-control': 'no-store', ...closes })
  response.end()
}

/** A page in a browser can be made to ask loopback under another host name, and must learn nothing (DNS rebinding). */
function isForUs({ headers: { host } }: IncomingMessage): boolean {
  return host === undefined || /^(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(?::\d{1,5})?$/i.test(host)
}
