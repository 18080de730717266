/** Visitors authenticated by Cloudflare Access. */
import type { Log, Visitors } from '../../src/index.ts'
import { type AccessOptions, accessHeader, createAccessVerifier } from './access.ts'

/** Their names cannot collide with users: `access:ana@example.org`. */
export function createVisitors(options: AccessOptions, log: Log): Visitors {
  const access = createAccessVerifier(options)
  return async (headers) => {
    const assertion = headers[accessHeader]
    const verdict = await access.verify(typeof assertion === 'string' ? assertion : undefined)
    if ('email' in verdict) return { name: `access:${verdict.email}` }
    if (verdict.refusal === 'unavailable')
      log.warn(
        { team: options.teamDomain },
        "Cannot fetch the keys of Cloudflare Access: its visitors must log in with Burrow's password",
      )
    else if (verdict.refusal !== 'missing')
      log.debug({ refusal: verdict.refusal }, 'Rejected an assertion of Cloudflare Access')
    return undefined
  }
}
