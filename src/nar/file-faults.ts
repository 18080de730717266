/** Maps file system errors to faults of a store object. */
import { Fault, type FaultCode } from '../faults.ts'

/** The file no longer matches the directory listing. */
const changed = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR', 'ENXIO', 'ESTALE'])
/** The process is out of descriptors or memory; the file itself is fine. */
const short = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'])

/** @param doing the operation that failed, such as `read` or `open` */
export function faultOfFile(error: unknown, doing: string, path: Uint8Array): Fault {
  const errno = errnoOf(error)
  const code: FaultCode = changed.has(errno) ? 'nar-changed' : short.has(errno) ? 'busy' : 'nar-unreadable'
  const remedy = {
    'nar-changed': 'it changed while it was packed',
    busy: 'the process is short of descriptors or memory; raise its limits',
    'nar-unreadable': 'check that this user can read the store and that its disk is healthy',
  }[code]
  return new Fault(code, `Cannot ${doing} "${Buffer.from(path)}": ${errno}; ${remedy}`, { cause: error })
}

export function errnoOf(error: unknown): string {
  const { code } = (error ?? {}) as { readonly code?: unknown }
  return typeof code === 'string' ? code : 'unknown error'
}
