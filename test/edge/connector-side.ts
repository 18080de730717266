/**
 * Where connectors dial in: a TLS listener on loopback, and the register of their connections. It closes its port to
 * refuse connections (so that they see ECONNREFUSED) and opens the same port again.
 */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'

import type { Certificate } from './certificate.ts'
import { Connection, type ConnectionHandlers } from './connection.ts'
import type { Faults } from './faults.ts'
import { Milestones } from './milestones.ts'
import { readAlways } from './read-always.ts'
import type { Refusal, RegistrationDetails, RegistrationRequest } from './registration.ts'
import type { Tunnel, Tunnels } from './tunnels.ts'

export interface RegistrationAttempt extends RegistrationRequest {
  /** What the edge answered; `undefined` for silence. */
  readonly refusal: Refusal | undefined
  readonly isAccepted: boolean
}

export interface ConnectorSideOptions {
  readonly certificate: Certificate
  readonly tunnels: Tunnels
  readonly faults: Faults
  readonly location: string
  readonly isRemotelyManaged: () => boolean
  /** After a connection has been accepted and the connector will have been told so. */
  readonly registered: (connection: Connection) => void
}

export class ConnectorSide {
  readonly attempts: RegistrationAttempt[] = []
  readonly attempted = new Milestones()
  readonly up = new Milestones()
  readonly lost = new Milestones()
  readonly #options: ConnectorSideOptions
  readonly #sockets = new Set<Socket>()
  readonly #all = new Set<Connection>()
  #serving: Connection[] = []
  #server: Server | undefined
  #port = 0
  #turn = 0

  constructor(options: ConnectorSideOptions) {
    this.#options = options
  }

  get port(): number {
    return this.#port
  }

  /** Registered, and neither unregistered nor lost since, in the order of their registration. */
  get connections(): readonly Connection[] {
    return this.#serving
  }

  async listen(): Promise<void> {
    if (this.#server) return
    const server = createServer({ noDelay: true }, (tcp) => this.#take(tcp))
    this.#server = server
    server.listen(this.#port, '127.0.0.1')
    await once(server, 'listening')
    this.#port = (server.address() as AddressInfo).port
  }

  #take(tcp: Socket): void {
    this.#sockets.add(tcp)
    tcp.on('error', () => {})
    tcp.once('close', () => this.#sockets.delete(tcp))
    // It never listens, but takes the one that it is given.
    const handshake = createTlsServer(this.#options.certificate, (socket) => {
      const connection = new Connection(socket, this.#handlers())
      this.#all.add(connection)
      tcp.once('close', () => connection.drop())
    })
    handshake.on('tlsClientError', () => tcp.destroy())
    handshake.emit('connection', readAlways(tcp))
  }

  /** New connections are refused from now on; those that are there stay. */
  refuse(): void {
    this.#server?.close()
    this.#server = undefined
  }

  /** The connections in turn; `undefined` when no connector is there. */
  pick(): Connection | undefined {
    const usable = this.#serving.filter(({ isOpen }) => isOpen)
    return usable[this.#turn++ % usable.length]
  }

  drop(count = Number.POSITIVE_INFINITY): void {
    const registered = [...this.#all].filter(({ registration }) => registration)
    for (const connection of registered.slice(0, count)) connection.drop()
  }

  close(): void {
    this.refuse()
    for (const connection of this.#all) connection.drop()
    for (const socket of this.#sockets) socket.destroy()
  }

  #handlers(): ConnectionHandlers {
    return {
      register: (connection, request) => this.#register(connection, request),
      unregistered: (connection) => this.#leave(connection),
      keepsUnregistered: () => this.#options.faults.keepConnectionsOnUnregister,
      closed: (connection) => {
        this.#all.delete(connection)
        this.#leave(connection)
        if (connection.registration) this.lost.reach(this.lost.count + 1)
      },
    }
  }

  #leave(connection: Connection): void {
    this.#serving = this.#serving.filter((other) => other !== connection)
    this.up.reach(this.#serving.length)
  }

  #register(
    connection: Connection,
    request: RegistrationRequest,
  ): (RegistrationDetails & { readonly tunnel: Tunnel }) | Refusal | undefined {
    const { tunnels, faults, location } = this.#options
    const fault = faults.registrationVerdict()
    const checked = tunnels.check(request)
    const refusal = fault === 'silence' ? undefined : (fault ?? ('cause' in checked ? checked : undefined))
    const isAccepted = !fault && !refusal
    this.attempts.push({ ...request, refusal, isAccepted })
    this.attempted.reach(this.attempts.length)
    if (!isAccepted || 'cause' in checked) return refusal
    // Later in this turn, when the answer has been written and the connection knows what it is.
    queueMicrotask(() => {
      if (!connection.isOpen || connection.isUnregistered) return
      this.#serving.push(connection)
      this.up.reach(this.#serving.length)
      this.#options.registered(connection)
    })
    return {
      connectionId: randomUUID(),
      location,
      isRemotelyManaged: this.#options.isRemotelyManaged(),
      tunnel: checked,
    }
  }
}
