/**
 * One TCP connection of a connector. On it the roles of HTTP/2 are reversed: the connector dialled and did the TLS
 * handshake as a client, and is now the HTTP/2 server; the edge sends the preface and opens the streams. Source:
 * cloudflared's connection/http2.go.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type OutgoingHttpHeaders } from 'node:http2'
import type { TLSSocket } from 'node:tls'

import { openControlStream } from './control-stream.ts'
import type { Refusal, RegistrationDetails, RegistrationRequest } from './registration.ts'
import type { Tunnel } from './tunnels.ts'

export interface ConnectionHandlers {
  register(
    connection: Connection,
    request: RegistrationRequest,
  ): (RegistrationDetails & { readonly tunnel: Tunnel }) | Refusal | undefined
  unregistered(connection: Connection): void
  /** The TCP connection is no more, or is as good as. Called once. */
  closed(connection: Connection): void
  /** Whether the connection stays open although it has been unregistered. */
  keepsUnregistered(): boolean
}

type Registration = RegistrationRequest & RegistrationDetails & { readonly tunnel: Tunnel }

export class Connection {
  /** `undefined` until the edge has accepted it. */
  registration: Registration | undefined
  /** JSON text of the ingress that a locally managed connector reports on its first connection. */
  localConfiguration: string | undefined
  isUnregistered = false
  readonly #socket: TLSSocket
  readonly #session: ClientHttp2Session
  readonly #handlers: ConnectionHandlers
  #isClosed = false

  constructor(socket: TLSSocket, handlers: ConnectionHandlers) {
    this.#socket = socket
    this.#handlers = handlers
    socket.setNoDelay(true)
    socket.on('error', () => {})
    this.#session = connect('https://edge.invalid', {
      createConnection: () => socket,
      // MB. By default a few big bodies in flight make new streams fail with ENHANCE_YOUR_CALM.
      maxSessionMemory: 1000,
      settings: { enablePush: false, initialWindowSize: 2 ** 18 },
    })
    this.#session.on('error', () => {})
    this.#session.once('close', () => this.#closed())
    socket.once('close', () => this.#closed())
    // Without this the connection's own window of 64 KiB is what all downloads share.
    this.#session.once('connect', () => !this.#session.destroyed && this.#session.setLocalWindowSize(2 ** 22))
    openControlStream(this.#session, {
      register: (request) => this.#register(request),
      unregistered: () => {
        this.isUnregistered = true
        handlers.unregistered(this)
      },
      localConfiguration: (json) => {
        this.localConfiguration = json
      },
      ended: () => this.#controlEnded(),
    })
  }

  get isOpen(): boolean {
    return !this.#isClosed && !this.#session.closed && !this.#session.destroyed
  }

  /**
   * Opens a stream; `endStream` when there is no body. Aborting the signal resets it with CANCEL, never with a clean
   * end.
   */
  request(
    headers: OutgoingHttpHeaders,
    options: { readonly endStream: boolean; readonly signal: AbortSignal },
  ): ClientHttp2Stream {
    return this.#session.request(headers, options)
  }

  /** Cuts TCP at once, whatever is in flight. */
  drop(): void {
    this.#closed()
    this.#session.destroy()
    this.#socket.destroy()
  }

  #register(request: RegistrationRequest): RegistrationDetails | Refusal | undefined {
    const verdict = this.#handlers.register(this, request)
    if (verdict && !('cause' in verdict)) this.registration = { ...request, ...verdict }
    return verdict
  }

  /**
   * cloudflared leaves closing to the edge: after an unregistration at once that nothing is in flight, after a failed
   * registration at once.
   */
  #controlEnded(): void {
    if (this.#isClosed) return
    if (this.isUnregistered && this.#handlers.keepsUnregistered()) return
    if (this.isUnregistered) this.#session.close()
    else this.drop()
  }

  #closed(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#handlers.closed(this)
  }
}
