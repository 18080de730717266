/** Why a push ended: each kind has an exit code of its own, since scripts decide by it what to do next. */

export type PushFaultCode =
  /** The cache cannot be reached, or made no progress for too long: worth running again. */
  | 'unreachable'
  /** Wrong user or password. */
  | 'unauthorized'
  /** The user may not push. */
  | 'forbidden'
  /** Something between here and the cache wants proof that this is a person. */
  | 'challenged'
  /** The cache refuses: no room, a policy, a conflict that counts as a failure. */
  | 'refused'
  /** A store path here cannot be read, or is not what its record says. */
  | 'unreadable'
  /** The other end is no Burrow, or one that speaks another protocol. */
  | 'protocol'

export class PushFault extends Error {
  override readonly name = 'PushFault'
  readonly code: PushFaultCode
  /** Of the reply that says so. */
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
