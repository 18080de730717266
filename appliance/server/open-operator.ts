/** Opens the operator's listener. */
import type { Server } from 'node:http'
import type { Logger } from 'pino'

import { Complaint } from '../complaint.ts'
import type { Config } from '../config/config.ts'
import { type Listener, openListener } from './listener.ts'

/** The default one may fail: some file systems do not support sockets. */
export async function openOperator({ operator }: Config, server: Server, log: Logger): Promise<Listener | undefined> {
  if (operator === undefined) return undefined
  try {
    return await openListener(server, operator.address, { drainMs: 0, socketMode: 0o600 })
  } catch (error) {
    if (!operator.isDefault || !(error instanceof Complaint)) throw error
    log.warn({ reason: error.message }, 'Running without an operator listener: "burrow status" does not work')
    return undefined
  }
}
