/** What a failed connection says about the other side. */

/** No socket file, or a socket or port without a listener. Any other error may come from a running server. */
const absentCodes = ['ECONNREFUSED', 'ENOENT', 'ENOTDIR']

/** Whether the error code (`ECONNREFUSED`) means that no process listens at the address. */
export function isListenerAbsent(code: string | undefined): boolean {
  return code !== undefined && absentCodes.includes(code)
}
