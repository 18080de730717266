/**
 * Connections that wait in a socket of systemd's for a Burrow that cannot start. systemd starts the service again for
 * as long as one waits, so with a config that is wrong it would do so without end.
 */
import { createServer } from 'node:net'

import type { Machine } from '../machine.ts'
import { findInheritedSocket } from '../systemd/socket-activation.ts'

/** Long enough to accept a full queue. */
const acceptMs = 200

/** Resets what waits in the inherited socket; resolves at once if there is none. Never rejects. */
export async function resetWaitingConnections({ env, pid }: Machine): Promise<void> {
  const descriptor = inheritedSocket(env, pid)
  if (descriptor === undefined) return
  const server = createServer((socket) => socket.on('error', () => {}).resetAndDestroy())
  await new Promise<void>((resolve) => {
    server.on('error', () => resolve())
    server.listen({ fd: descriptor }, () => setTimeout(resolve, acceptMs))
  })
  server.close()
}

function inheritedSocket(env: Machine['env'], pid: number): number | undefined {
  try {
    return findInheritedSocket(env, pid)
  } catch {
    return undefined
  }
}
