/** The relay's login at the far end: read again now and then, so that a new password needs no restart. */
import type { Log } from '../../../src/index.ts'
import { Complaint } from '../../complaint.ts'
import type { Machine } from '../../machine.ts'
import { type FarEndLocation, type LocateOptions, locateFarEnd } from '../credentials.ts'

const rereadMs = 30_000

export interface RelayLogin extends Disposable {
  readonly location: FarEndLocation
  /** The `Authorization` header; undefined if no login was found. */
  readonly authorization: () => string | undefined
}

/** Rejects with a Complaint if no URL is known, or a file that was named cannot be read. */
export async function openLogin(machine: Machine, options: LocateOptions, log: Log): Promise<RelayLogin> {
  let location = await locateFarEnd(machine, options)
  async function reread(): Promise<void> {
    try {
      const next = await locateFarEnd(machine, { ...options, to: location.url.href })
      if (next.authorization !== location.authorization)
        log.info({ source: next.source }, 'Uses another login from now on')
      location = next
    } catch (error) {
      if (!(error instanceof Complaint)) throw error
      log.warn({ reason: error.message }, 'Keeps the login it has')
    }
  }
  const timer = setInterval(() => void reread(), rereadMs).unref()
  return {
    get location() {
      return location
    },
    authorization: () => location.authorization,
    [Symbol.dispose]: () => clearInterval(timer),
  }
}
