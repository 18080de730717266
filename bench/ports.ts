/** Finding a port for a server of ours and waiting until it answers. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('Cannot find a free port')
  return address.port
}

const patienceMs = 30_000

/**
 * Tries until the server answers.
 * @throws {Error} when it ends first or stays silent for 30 s
 */
export async function waitUntil(
  name: string,
  child: ChildProcess,
  attempt: () => Promise<unknown>,
  pauseMs = 10,
): Promise<void> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`Cannot start ${name}: it ended with ${child.exitCode ?? child.signalCode}`)
    try {
      await attempt()
      return
    } catch (error) {
      if (performance.now() > deadline)
        throw new Error(`Cannot start ${name}: no answer within ${patienceMs / 1_000} s`, { cause: error })
    }
    await sleep(pauseMs)
  }
}
