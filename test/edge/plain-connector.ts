/**
 * The least that registers with the edge and answers requests: a TLS client which then is the HTTP/2 server of its
 * connection, and Cap'n Proto RPC client on the control stream. What it answers is up to the test; there is no origin,
 * no redialling, no grace. For the edge's own tests.
 */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import {
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { connect } from 'node:tls'
import { struct } from './capnp.ts'
import { MessageSplitter } from './capnp-reader.ts'
import { type Refusal, type RegistrationDetails, readRegistrationResult, toRegistrationParams } from './registration.ts'
import { encodeHeaderLines, type HeaderLines } from './reply-head.ts'
import { encodeBootstrap, encodeCall, encodeFinish, methods, type RpcMessage, readRpcMessage } from './rpc.ts'

export interface TunnelRequest {
  readonly headers: IncomingHttpHeaders
  readonly stream: ServerHttp2Stream
  readonly connIndex: number
  /** The head as cloudflared sends it: the origin's header in one field. */
  respond(
    status: number,
    headers?: HeaderLines,
    options?: { readonly src?: 'origin' | 'cloudflared'; readonly endStream?: boolean },
  ): void
  /** A whole reply. */
  reply(status: number, headers: HeaderLines, body: string | Buffer): void
  readBody(): Promise<Buffer>
}

export type Origin = (request: TunnelRequest) => void

export interface PlainConnectorOptions {
  readonly edge: { readonly connectorAddress: string; readonly caFile: string }
  readonly token: string
  readonly connIndex?: number
  readonly connectorId?: string
  readonly origin?: Origin
  /** The body of a configuration push; what is returned is the answer's body. */
  readonly configure?: (push: { readonly version: number; readonly config: unknown }) => object
}

export interface PlainConnection extends AsyncDisposable {
  readonly connectorId: string
  /** What the edge said to the registration. */
  readonly registration: RegistrationDetails | Refusal
  readonly closed: Promise<void>
  /** Asks to be let go; resolves with the edge's answer, after which the control stream is ended. */
  unregister(): Promise<void>
  reportConfiguration(json: string): Promise<void>
}

/**
 * One connection. Resolves with the edge's answer to the registration, also when that is a refusal; rejects when the
 * connection is lost before.
 */
export async function openPlainConnection(options: PlainConnectorOptions): Promise<PlainConnection> {
  const [host, port] = options.edge.connectorAddress.split(':')
  const ca = await readFile(options.edge.caFile)
  const socket = connect({ host: host!, port: Number(port), servername: 'h2.cftunnel.com', ca })
  await once(socket, 'secureConnect')
  socket.on('error', () => {})
  const session = performServerHandshake(socket, { settings: { initialWindowSize: 2 ** 20 }, maxSessionMemory: 1000 })
  session.on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  const connectorId = options.connectorId ?? randomUUID()
  const control = await serve(session, options, closed)
  control.stream.write(encodeBootstrap(0))
  const request = {
    ...decodeToken(options.token),
    connIndex: options.connIndex ?? 0,
    connectorId,
    features: ['serialized_headers'],
  }
  const params = toRegistrationParams({
    ...request,
    version: '2026.8.2',
    arch: 'linux_amd64',
    replaceExisting: false,
    previousAttempts: 0,
  })
  const registered = await control.call(methods.registerConnection, params)
  const registration = readRegistrationResult(registered.results)
  if ('cause' in registration) control.stream.end()
  return {
    connectorId,
    registration,
    closed,
    async unregister() {
      await control.call(
        methods.unregisterConnection,
        struct(0, () => {}),
      )
      control.stream.end()
    },
    async reportConfiguration(json) {
      await control.call(
        methods.updateLocalConfiguration,
        struct(0, () => {}, { bytes: Buffer.from(json) }),
      )
    },
    async [Symbol.asyncDispose]() {
      session.destroy()
      socket.destroy()
      await closed
    },
  }
}

type Return = Extract<RpcMessage, { kind: 'return' }>

interface Control {
  readonly stream: ServerHttp2Stream
  call(method: number, params: ReturnType<typeof struct>): Promise<Return>
}

/** Answers all streams of the session; resolves with the control stream when the edge has opened it. */
function serve(
  session: ServerHttp2Session,
  { origin, configure, connIndex = 0 }: PlainConnectorOptions,
  closed: Promise<void>,
): Promise<Control> {
  return new Promise((resolve, reject) => {
    closed.then(() => reject(new Error('The edge has closed the connection')))
    session.on('stream', (stream, headers) => {
      stream.on('error', () => {})
      const upgrade = headers['cf-cloudflared-proxy-connection-upgrade']
      if (upgrade === 'control-stream') resolve(openControl(stream, closed))
      else if (upgrade === 'update-configuration') answerPush(stream, configure)
      else origin?.(createTunnelRequest(stream, headers, connIndex))
    })
  })
}

function openControl(stream: ServerHttp2Stream, closed: Promise<void>): Control {
  stream.respond({ ':status': 200 })
  const splitter = new MessageSplitter()
  const waiting = new Map<number, (message: Return) => void>()
  let next = 1
  stream.on('data', (chunk: Buffer) => {
    for (const segments of splitter.push(chunk)) {
      const message = readRpcMessage(segments)
      if (message.kind !== 'return') continue
      stream.write(encodeFinish(message.answer))
      waiting.get(message.answer)?.(message)
      waiting.delete(message.answer)
    }
  })
  return {
    stream,
    call: (method, params) =>
      new Promise((resolve, reject) => {
        closed.then(() => reject(new Error('The edge has closed the connection')))
        waiting.set(next, resolve)
        stream.write(encodeCall(next++, method, params))
      }),
  }
}

function createTunnelRequest(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  connIndex: number,
): TunnelRequest {
  const respond: TunnelRequest['respond'] = (status, lines = [], { src = 'origin', endStream = false } = {}) => {
    const length = lines.find(([name]) => name.toLowerCase() === 'content-length')?.[1]
    stream.respond(
      {
        ':status': status,
        'cf-cloudflared-response-meta': JSON.stringify({ src }),
        'cf-cloudflared-response-headers': encodeHeaderLines(lines),
        ...(length === undefined ? {} : { 'content-length': length }),
      },
      { endStream },
    )
  }
  return {
    stream,
    headers,
    connIndex,
    respond,
    reply(status, lines, body) {
      respond(status, [...lines, ['Content-Length', String(Buffer.byteLength(body))]])
      stream.end(headers[':method'] === 'HEAD' ? undefined : body)
    },
    async readBody() {
      const chunks: Buffer[] = []
      for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk)
      return Buffer.concat(chunks)
    },
  }
}

async function answerPush(stream: ServerHttp2Stream, configure: PlainConnectorOptions['configure']): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk)
  const push = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { version: number; config: unknown }
  stream.respond({ ':status': 200 })
  stream.end(JSON.stringify(configure?.(push) ?? { lastAppliedVersion: push.version, err: null }))
}

function decodeToken(token: string): { accountTag: string; tunnelId: string; tunnelSecret: Buffer } {
  const { a, t, s } = JSON.parse(Buffer.from(token, 'base64').toString('utf8')) as { a: string; t: string; s: string }
  return { accountTag: a, tunnelId: t, tunnelSecret: Buffer.from(s, 'base64') }
}
