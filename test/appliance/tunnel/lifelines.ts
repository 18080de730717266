/**
 * Which scripted connectors live: each holds a connection to us, which the kernel closes when it dies, however that
 * comes.
 */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'

import { systemCodeOf } from '../../../appliance/complaint.ts'

export interface Life {
  readonly pid: number
  readonly isOver: boolean
  /** Resolves when the process is gone. */
  readonly over: Promise<void>
}

export interface Lifelines extends AsyncDisposable {
  readonly port: number
  readonly lives: readonly Life[]
  /** The n-th connector to come to life, past or to come, from 0. */
  life(index: number): Promise<Life>
}

export async function openLifelines(): Promise<Lifelines> {
  const lives: Life[] = []
  const sockets = new Set<Socket>()
  const waiting = new Set<() => void>()
  const server = createServer((socket) => {
    sockets.add(socket)
    const over = new Promise<void>((resolve) => socket.on('close', () => resolve()))
    socket.on('error', () => {})
    socket.once('data', (data) => {
      const life = { pid: Number(data.toString()), isOver: false, over }
      void over.then(() => Object.assign(life, { isOver: true }))
      lives.push(life)
      for (const look of [...waiting]) look()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    lives,
    life: (index) =>
      new Promise((resolve) => {
        const look = () => {
          const life = lives[index]
          if (life === undefined) return
          waiting.delete(look)
          resolve(life)
        }
        waiting.add(look)
        look()
      }),
    async [Symbol.asyncDispose]() {
      for (const { pid, isOver } of lives) if (!isOver) endProcess(pid, 'SIGKILL')
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** As the appliance hands it to a tunnel. */
export function endProcess(pid: number, signal: 'SIGTERM' | 'SIGKILL' | 0): boolean {
  try {
    return process.kill(pid, signal)
  } catch (error) {
    if (systemCodeOf(error) === 'ESRCH') return false
    throw error
  }
}
