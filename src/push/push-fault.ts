/** Why a push failed. Each code has its own exit code for scripts. */

export type PushFaultCode =
  /** The cache cannot be reached, or there was no progress for too long: running it again may help. */
  | 'unreachable'
  /** Wrong user or password. */
  | 'unauthorized'
  /** The user may not push. */
  | 'forbidden'
  /** The edge wants proof that the client is a person. */
  | 'challenged'
  /** The cache refused it: no space, a policy, or a conflict that counts as a failure. */
  | 'refused'
  /** A local store path cannot be read, or does not match its record. */
  | 'unreadable'
  /** The URL is not a Burrow cache, or it uses another version of the protocol. */
  | 'protocol'

export class PushFault extends Error {
  override readonly name = 'PushFault'
  readonly code: PushFaultCode
  /** HTTP status of the reply, if there was one. */
  readonly status: number | undefined

  constructor(
    code: PushFaultCode,
    message: string,
    { status, ...options }: ErrorOptions & { readonly status?: number } = {},
  ) {
    super(message, options)
    this.code = code
    this.status = status
  }
}
