/**
 * One connection to the nix-daemon, which forks a process for it. Requests are answered one at a time, in order.
 * Anything unexpected (silence, garbage, a frame out of turn) ends the connection: there is no way to find the next
 * message boundary again.
 */
import { connect, type Socket } from 'node:net'

import type { Clock } from '../clock.ts'
import { addTempRoot, DaemonError, isValidPath, shakeHands } from './daemon-protocol.ts'
import { WireError, WireReader } from './wire.ts'

export interface DaemonConnectionOptions {
  readonly socketPath: string
  readonly clock: Clock
  /** For the connection and the handshake together. */
  readonly timeoutMs: number
}

/**
 * @throws a system error (no socket, no rights), `WireError` (not a daemon, silence) or `DaemonError` (it refuses this
 * user)
 */
export async function openDaemonConnection({
  socketPath,
  clock,
  timeoutMs,
}: DaemonConnectionOptions): Promise<DaemonConnection> {
  const connection = new DaemonConnection(connect(socketPath), clock)
  await connection.start(timeoutMs)
  return connection
}

export class DaemonConnection implements Disposable {
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #reader = new WireReader()
  readonly #wire = { reader: this.#reader, write: (bytes: Uint8Array) => void this.#socket.write(bytes) }
  #minor = 0
  #queue: Promise<unknown> = Promise.resolve()
  #isBusy = false
  #isOpen = true
  readonly #closed = Promise.withResolvers<void>()

  constructor(socket: Socket, clock: Clock) {
    this.#socket = socket
    this.#clock = clock
    socket.on('data', (chunk: Buffer) => {
      if (this.#isBusy) this.#reader.feed(chunk)
      else this.#end(new WireError('Cannot read from the daemon: it spoke without being asked'))
    })
    socket.on('error', (error) => this.#end(error))
    socket.on('end', () => this.#end(new WireError('Cannot read from the daemon: it closed the connection')))
    socket.on('close', () => this.#end(new WireError('Cannot read from the daemon: the connection is closed')))
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Resolves when the connection has ended, for any reason. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /** The handshake; ends the connection when it fails. */
  async start(timeoutMs: number): Promise<void> {
    this.#minor = await this.#request(timeoutMs, () => shakeHands(this.#wire))
    if (this.#minor === 0) throw new WireError('Cannot talk to the daemon: no common version')
  }

  /** @param timeoutMs from the moment the request is sent, not while it waits for its turn */
  addTempRoot(storePath: string, timeoutMs: number): Promise<void> {
    return this.#request(timeoutMs, () => addTempRoot(this.#wire, this.#minor, storePath))
  }

  isValidPath(storePath: string, timeoutMs: number): Promise<boolean> {
    return this.#request(timeoutMs, () => isValidPath(this.#wire, this.#minor, storePath))
  }

  #request<T>(timeoutMs: number, talk: () => Promise<T>): Promise<T> {
    const answer = this.#queue.then(async () => {
      if (!this.#isOpen) throw new WireError('Cannot ask the daemon: the connection is closed')
      const callOff = this.#clock.after(timeoutMs, () =>
        this.#end(new WireError(`Cannot read from the daemon: no answer within ${timeoutMs} ms`)),
      )
      this.#isBusy = true
      try {
        const result = await talk()
        if (this.#reader.buffered > 0) throw new WireError('Cannot read from the daemon: it says more than was asked')
        return result
      } catch (error) {
        // Nix's own daemon repeats an error and hangs up when it could not even read the request.
        const isInStep = error instanceof DaemonError && this.#minor !== 0 && this.#reader.buffered === 0
        if (!isInStep) this.#end(error as Error)
        throw error
      } finally {
        this.#isBusy = false
        callOff()
      }
    })
    this.#queue = answer.catch(() => {})
    return answer
  }

  #end(error: Error): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#reader.fail(error)
    this.#socket.destroy()
    this.#closed.resolve()
  }

  [Symbol.dispose](): void {
    this.#end(new WireError('Cannot ask the daemon: the connection was closed'))
  }
}
