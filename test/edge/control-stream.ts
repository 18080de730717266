/**
 * The control stream of one connection: the first stream the edge opens, never closed by us while the connection lives.
 * Cap'n Proto RPC (rpc.ts) flows in the DATA frames of both directions, with the connector as RPC client. Source:
 * cloudflared's connection/control.go.
 */
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2'

import { MessageSplitter } from './capnp-reader.ts'
import {
  type Refusal,
  type RegistrationDetails,
  type RegistrationRequest,
  readRegistration,
  toDetailsResult,
  toRefusalResult,
} from './registration.ts'
import {
  encodeBootstrapReturn,
  encodeEmptyReturn,
  encodeException,
  encodeReturn,
  methods,
  readRpcMessage,
} from './rpc.ts'

export interface ControlHandlers {
  /** `undefined`: no answer at all, so that the connector's RPC times out. */
  register(request: RegistrationRequest): RegistrationDetails | Refusal | undefined
  unregistered(): void
  /** The ingress of a locally managed tunnel, as JSON text. */
  localConfiguration(json: string): void
  /** The connector has ended the stream, or sent what is no RPC. Called once. */
  ended(): void
}

export function openControlStream(session: ClientHttp2Session, handlers: ControlHandlers): ClientHttp2Stream {
  const stream = session.request(
    {
      ':method': 'GET',
      ':path': '/',
      ':scheme': 'https',
      ':authority': 'edge.invalid',
      'cf-cloudflared-proxy-connection-upgrade': 'control-stream',
    },
    { endStream: false },
  )
  const splitter = new MessageSplitter()
  let isEnded = false
  const end = () => {
    if (isEnded) return
    isEnded = true
    stream.end()
    handlers.ended()
  }
  stream.on('error', () => {})
  stream.on('data', (chunk: Buffer) => {
    try {
      for (const segments of splitter.push(chunk)) {
        const reply = answer(segments, handlers)
        if (reply && !stream.destroyed) stream.write(reply)
      }
    } catch {
      // What no RPC client would send: a real edge hangs up, too.
      stream.destroy()
      end()
    }
  })
  stream.once('end', end)
  stream.once('close', end)
  return stream
}

/** The bytes to answer with; `undefined` where none are due. */
function answer(segments: readonly Buffer[], handlers: ControlHandlers): Buffer | undefined {
  const message = readRpcMessage(segments)
  if (message.kind === 'bootstrap') return encodeBootstrapReturn(message.question)
  if (message.kind !== 'call') return undefined
  switch (message.method) {
    case methods.registerConnection: {
      const verdict = handlers.register(readRegistration(message.params))
      if (!verdict) return undefined
      return encodeReturn(message.question, 'cause' in verdict ? toRefusalResult(verdict) : toDetailsResult(verdict))
    }
    case methods.unregisterConnection:
      handlers.unregistered()
      return encodeEmptyReturn(message.question)
    case methods.updateLocalConfiguration:
      handlers.localConfiguration(message.params.bytes(0).toString('utf8'))
      return encodeEmptyReturn(message.question)
    default:
      return encodeException(message.question, `unimplemented: method ${message.method}`)
  }
}
