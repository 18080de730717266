/**
 * Authenticates requests whose credentials are not remembered, with strategies of Passport: basic auth for Nix and
 * scripts, and Cloudflare Access for people with browsers. The strategies only extract what was sent; the verifier and
 * the visitor check decide.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'

import passport from 'passport'
import { BasicStrategy } from 'passport-http'

import { clientAddressOf } from './client-address.ts'
import type { Access, Identity } from './user.ts'
import type { Verifier } from './verifier.ts'

export const realm = 'burrow'

/**
 * The visitor that was authenticated in front of this cache. Undefined without a valid assertion. Never rejects.
 */
export type Visitors = (headers: IncomingHttpHeaders) => Promise<{ readonly name: string } | undefined>

export type Authentication =
  | { readonly kind: 'known'; readonly identity: Identity }
  /** `challenge`: the `WWW-Authenticate` header. `name`: the user name that was sent. */
  | { readonly kind: 'unknown'; readonly challenge: string; readonly name: string | undefined }
  | { readonly kind: 'slow-down'; readonly retryAfterSeconds: number }

export interface Authenticator {
  /** Rejects only because of a bug. `forVisitors`: whether the route accepts visitors without a password. */
  authenticate(request: IncomingMessage, forVisitors: boolean): Promise<Authentication>
}

/** The methods that Passport adds to a strategy for each request. */
interface StrategyActions {
  success(identity: Identity): void
  fail(why: Failure | undefined): void
  error(error: unknown): void
}

type Failure =
  | { readonly challenge: string; readonly name: string | undefined }
  | { readonly kind: 'slow-down'; readonly retryAfterSeconds: number }

/** passport-http would cut a password at a colon, so the verifier parses the header instead. */
function createLoginStrategy(verifier: Verifier): passport.Strategy {
  return Object.assign(new BasicStrategy({ realm }, () => {}), {
    authenticate(this: StrategyActions, request: IncomingMessage): void {
      verifier.verify(request.headers.authorization, clientAddressOf(request)).then((result) => {
        if (result.kind === 'known') this.success(result.identity)
        else if (result.kind === 'unknown')
          this.fail({ challenge: `Basic realm="${realm}", charset="UTF-8"`, name: result.name })
        else this.fail(result)
      }, this.error)
    },
  }) as unknown as passport.Strategy
}

function createVisitorStrategy(visitors: Visitors): passport.Strategy {
  return Object.assign(new passport.Strategy(), {
    authenticate(this: StrategyActions, request: IncomingMessage): void {
      visitors(request.headers).then((visitor) => {
        if (visitor === undefined) this.fail(undefined)
        else this.success({ name: visitor.name, access: reading })
      }, this.error)
    },
  }) as unknown as passport.Strategy
}

const reading: ReadonlySet<Access> = new Set<Access>(['pull'])

export function createAuthenticator(verifier: Verifier, visitors: Visitors | undefined): Authenticator {
  const passports = new passport.Passport()
  passports.use('login', createLoginStrategy(verifier))
  if (visitors !== undefined) passports.use('visitor', createVisitorStrategy(visitors))
  return {
    authenticate(request, forVisitors) {
      // If a password was sent, it must be right, even for a visitor with a valid assertion.
      const asksVisitors = visitors !== undefined && forVisitors && request.headers.authorization === undefined
      const strategies = asksVisitors ? ['visitor', 'login'] : ['login']
      return new Promise((resolve, reject) => {
        const conclude = (
          error: unknown,
          identity: Identity | false | null,
          failures?: Failure | (Failure | undefined)[],
        ) => {
          if (error) return reject(error)
          if (identity) return resolve({ kind: 'known', identity })
          const failure = [failures].flat().at(-1)
          if (failure !== undefined && 'kind' in failure) resolve(failure)
          else resolve({ kind: 'unknown', challenge: failure!.challenge, name: failure!.name })
        }
        passports.authenticate(strategies, { session: false }, conclude)(request, {}, reject)
      })
    },
  }
}
