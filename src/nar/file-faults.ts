/** What an error of the file system says about a store object. */
import { Fault, type FaultCode } from '../faults.ts'

/** The file is not what it was when its directory was read. */
const changed = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR', 'ENXIO', 'ESTALE'])
/** The process is short of something; nothing is wrong with the file. */
const short = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'])

/** @param doing what could not be done, such as `read` or `open` */
export function faultOfFile(error: unknown, doing: string, path: Uint8Array): Fault {
  const errno = errnoOf(error)
  const code: FaultCode = changed.has(errno) ? 'nar-changed' : short.has(errno) ? 'busy' : 'nar-unreadable'
  const remedy = {
    'nar-changed': 'it changed while it was packed',
    busy: 'the process is short of descriptors or memory; raise its limits',
    'nar-unreadable': 'see that this user may read the store and that its disk is sound',
  }[code]
  return new Fault(code, `Cannot ${doing} "${Buffer.from(path)}": ${errno}; ${remedy}`, { cause: error })
}

export function errnoOf(error: unknown): string {
  const { code } = (error ?? {}) as { readonly code?: unknown }
  return typeof code === 'string' ? code : 'unknown error'
}
