/**
 * A slow line on loopback: each direction has a rate (a token bucket) and a delay, as a home uplink behind a tunnel
 * has. The kernel's own means (netem) are not everywhere.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface Shape {
  /** Bits per second, each direction. */
  readonly bitsPerSecond: number
  /** There and back. */
  readonly roundTripMs: number
  /** Connections end after so many bytes from the client; undefined: never. */
  readonly cutAfterBytes?: number
}

export interface ShapingProxy extends AsyncDisposable {
  readonly port: number
  /** What clients sent. */
  readonly bytesUp: number
}

/** Large enough that the timer's milliseconds do not count, small enough that a rate is one. */
const chunkBytes = 16 * 1024

export async function openShapingProxy(
  /** A port of this machine; as a function, asked for each connection. */
  target: number | (() => number),
  { bitsPerSecond, roundTripMs, cutAfterBytes }: Shape,
): Promise<ShapingProxy> {
  const sockets = new Set<Socket>()
  let bytesUp = 0
  const up = new Lane(bitsPerSecond, roundTripMs / 2)
  const down = new Lane(bitsPerSecond, roundTripMs / 2)
  const server = createServer({ noDelay: true }, (client) => {
    const origin = connect({ port: typeof target === 'number' ? target : target(), host: '127.0.0.1', noDelay: true })
    for (const socket of [client, origin]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => sockets.delete(socket))
    }
    let carried = 0
    carry(client, origin, up, (bytes) => {
      bytesUp += bytes
      carried += bytes
      if (cutAfterBytes === undefined || carried < cutAfterBytes) return
      client.resetAndDestroy()
      origin.resetAndDestroy()
    })
    carry(origin, client, down, () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    get bytesUp() {
      return bytesUp
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** One direction of the line, shared by all its connections. */
class Lane {
  readonly #bytesPerMs: number
  readonly #delayMs: number
  /** When the line is free again. */
  #freeAtMs = 0

  constructor(bitsPerSecond: number, delayMs: number) {
    this.#bytesPerMs = bitsPerSecond / 8 / 1000
    this.#delayMs = delayMs
  }

  /** When bytes that are ready now have left, and when they are at the other end. */
  send(bytes: number): { readonly leftMs: number; readonly arrivedMs: number } {
    const now = performance.now()
    this.#freeAtMs = Math.max(now, this.#freeAtMs) + bytes / this.#bytesPerMs
    return { leftMs: this.#freeAtMs - now, arrivedMs: this.#freeAtMs - now + this.#delayMs }
  }
}

/**
 * What the line has taken and not yet delivered is bounded by its delay: the sender is held back while its bytes wait
 * to leave.
 */
function carry(from: Socket, to: Socket, lane: Lane, onBytes: (bytes: number) => void): void {
  // Timers of different lengths may fire out of turn: each lets the oldest piece go.
  const underWay: Buffer[] = []
  from.on('data', (data: Buffer) => {
    let left = 0
    for (let at = 0; at < data.length; at += chunkBytes) {
      const piece = data.subarray(at, at + chunkBytes)
      const { leftMs, arrivedMs } = lane.send(piece.length)
      left = leftMs
      underWay.push(piece)
      setTimeout(() => {
        const oldest = underWay.shift()!
        if (!to.destroyed) to.write(oldest)
      }, arrivedMs)
    }
    onBytes(data.length)
    if (left < 5) return
    from.pause()
    setTimeout(() => from.resume(), left - 2)
  })
  from.once('end', () => setTimeout(() => to.end(), lane.send(0).arrivedMs))
  from.once('close', () => setTimeout(() => to.destroy(), lane.send(0).arrivedMs + 50))
}
