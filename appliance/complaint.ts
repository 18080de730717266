/**
 * An error that the user can fix: its message is printed as it is, without a stack.
 * Anything else that is thrown is a bug and ends with exit code 1 and its stack.
 */

export type ComplaintCode =
  /** The command line cannot be understood. */
  | 'usage'
  /** The config file, or a file it names, must be changed first. */
  | 'config'
  /** The state directory, or a file in it, must be changed first. */
  | 'state'
  /** A listener cannot be opened: the address is taken, or not ours to take. */
  | 'listen'
  /** The command cannot do what it was asked for. */
  | 'refused'
  /** The cache at the far end refuses what was pushed. */
  | 'rejected'
  /** The cache at the far end cannot be reached: worth running again. */
  | 'unavailable'
  /** The cache at the far end does not accept the login, or it has not the right. */
  | 'unauthorized'
  /** Ctrl-C. */
  | 'interrupted'
  /** SIGTERM. */
  | 'terminated'

export class Complaint extends Error {
  override readonly name = 'Complaint'
  readonly code: ComplaintCode

  constructor(code: ComplaintCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/**
 * 75, 77 and 78 are EX_TEMPFAIL, EX_NOPERM and EX_CONFIG of sysexits; after 78 a restart is useless until the
 * configuration has been changed.
 */
export const exitCodes = {
  ok: 0,
  failure: 1,
  usage: 2,
  rejected: 4,
  unavailable: 75,
  unauthorized: 77,
  config: 78,
  interrupted: 130,
  terminated: 143,
} as const

const exitCodeByComplaint = {
  usage: exitCodes.usage,
  config: exitCodes.config,
  state: exitCodes.config,
  listen: exitCodes.failure,
  refused: exitCodes.failure,
  rejected: exitCodes.rejected,
  unavailable: exitCodes.unavailable,
  unauthorized: exitCodes.unauthorized,
  interrupted: exitCodes.interrupted,
  terminated: exitCodes.terminated,
} as const satisfies Record<ComplaintCode, number>

export function exitCodeOf(error: unknown): number {
  return error instanceof Complaint ? exitCodeByComplaint[error.code] : exitCodes.failure
}

/** `ENOENT` and the like of an error thrown by `node:fs` or `node:net`. */
export function systemCodeOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  EACCES: 'this user may not read or write it',
  EPERM: 'this user may not read or write it',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of its path is not a directory',
  ENOSPC: 'the disk is full',
  EROFS: 'the file system is read-only',
  ELOOP: 'its symbolic links form a loop',
  ENAMETOOLONG: 'its path is too long',
}

/** Why a file cannot be had, in words; never the file's content. */
export function reasonOf(error: unknown): string {
  const code = systemCodeOf(error)
  return (
    (code === undefined ? undefined : reasons[code]) ?? code ?? (error instanceof Error ? error.message : String(error))
  )
}
