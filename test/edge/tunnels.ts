/**
 * The tunnels that exist on this edge and their secrets, in both of the forms cloudflared reads:
 *
 *   token        base64 of {"a":"<account tag>","t":"<tunnel id>","s":"<base64 secret>"}
 *   credentials  {"AccountTag":"…","TunnelSecret":"<base64>","TunnelID":"…","Endpoint":""}
 *
 * Source: cloudflared's connection/connection.go (TunnelToken, Credentials).
 */
import { randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'

import type { RegistrationRequest } from './registration.ts'

export interface Tunnel {
  readonly id: string
  readonly name: string
  readonly accountTag: string
  /** The :authority of requests through it. */
  readonly hostname: string
  secret: Buffer
}

export interface Credentials {
  readonly AccountTag: string
  readonly TunnelSecret: string
  readonly TunnelID: string
  readonly Endpoint: string
}

export class Tunnels {
  readonly #tunnels = new Map<string, Tunnel>()
  readonly #main: Tunnel

  constructor(hostname: string) {
    this.#main = this.create(hostname)
  }

  get main(): Tunnel {
    return this.#main
  }

  create(hostname: string): Tunnel {
    const tunnel = {
      id: randomUUID(),
      name: `qt-${randomBytes(8).toString('hex')}`,
      accountTag: randomBytes(16).toString('hex'),
      hostname,
      secret: randomBytes(32),
    }
    this.#tunnels.set(tunnel.id, tunnel)
    return tunnel
  }

  /** Gives the main tunnel a new secret; connections that are registered stay. */
  rotate(): void {
    this.#main.secret = randomBytes(32)
  }

  remove(id: string): void {
    this.#tunnels.delete(id)
  }

  /** Whether the tunnel exists and the secret is its own; a real edge says no more than this either. */
  check({ tunnelId, accountTag, tunnelSecret }: RegistrationRequest): Tunnel | { readonly cause: string } {
    const tunnel = this.#tunnels.get(tunnelId)
    if (!tunnel || tunnel.accountTag !== accountTag) return { cause: 'Unauthorized: Tunnel not found' }
    const isSecret = tunnelSecret.length === tunnel.secret.length && timingSafeEqual(tunnelSecret, tunnel.secret)
    return isSecret ? tunnel : { cause: 'Unauthorized: Invalid tunnel secret' }
  }

  /** For an id that no tunnel has, a well-formed token of a tunnel that is gone. */
  token(id: string = this.#main.id): string {
    const { accountTag, secret } = this.#tunnels.get(id) ?? this.#main
    return Buffer.from(JSON.stringify({ a: accountTag, t: id, s: secret.toString('base64') })).toString('base64')
  }

  credentials(id: string = this.#main.id): Credentials {
    const { accountTag, secret } = this.#tunnels.get(id) ?? this.#main
    return { AccountTag: accountTag, TunnelSecret: secret.toString('base64'), TunnelID: id, Endpoint: '' }
  }
}
