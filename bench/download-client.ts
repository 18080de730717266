/**
 * A client that does as little as possible with what it gets: plain sockets, one large buffer each, lengths counted and
 * bytes forgotten. It reads its plan as one line of JSON from standard input and writes its report as JSON to standard
 * output. Started by `downloads.ts`.
 */
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { DownloadPlan, DownloadReport, DownloadRequest } from './downloads.ts'

const bufferBytes = 256 << 10

const input = createInterface({ input: process.stdin })
input.once('line', (line) => {
  const fetcher = new Fetcher(JSON.parse(line) as DownloadPlan)
  input.once('close', () => fetcher.end(undefined))
  fetcher.start()
})

class Fetcher {
  readonly #plan: DownloadPlan
  readonly #sockets: Socket[] = []
  readonly #wanted: number
  #asked = 0
  #answered = 0
  #bytes = 0
  #ended = false
  #started = 0
  #cpuAtStart = process.cpuUsage()

  constructor(plan: DownloadPlan) {
    this.#plan = plan
    this.#wanted = plan.passes === 0 ? Number.POSITIVE_INFINITY : plan.passes * plan.requests.length
  }

  start(): void {
    // All connections stand before the clock starts: what is measured is transfer.
    let ready = 0
    const { connections } = this.#plan
    const begin: (() => void)[] = []
    for (let i = 0; i < connections; i++) {
      begin.push(
        this.#connect(() => {
          if (++ready < connections) return
          this.#started = performance.now()
          this.#cpuAtStart = process.cpuUsage()
          for (const start of begin) start()
        }),
      )
    }
  }

  /** Opens a connection; the returned function sends its first request. */
  #connect(onConnect: () => void): () => void {
    let head = ''
    let left = -1
    let current: DownloadRequest | undefined
    const ask = (): void => {
      current = this.#next()
      if (current !== undefined) socket.write(this.#format(current))
    }
    const onBytes = (length: number, buffer: Uint8Array): boolean => {
      let at = 0
      if (left < 0) {
        const seen = head.length
        head += Buffer.from(buffer.buffer, buffer.byteOffset, Math.min(length, 16_384)).toString('latin1')
        const end = head.indexOf('\r\n\r\n')
        if (end < 0) return true
        at = end + 4 - seen
        left = this.#expect(head.slice(0, end), current!)
        head = ''
      }
      left -= length - at
      this.#bytes += length - at
      if (left < 0) this.end(`${current!.path}: more bytes than announced`)
      if (left !== 0) return true
      left = -1
      if (++this.#answered === this.#wanted) this.end(undefined)
      else ask()
      return true
    }
    const { host, port } = this.#plan
    const socket = connect(
      { host, port, noDelay: true, onread: { buffer: Buffer.alloc(bufferBytes), callback: onBytes } },
      onConnect,
    )
    socket.on('error', (error) => this.end(`${current?.path}: ${error.message}`))
    socket.on('close', () => this.end(`${current?.path}: the server closed the connection`))
    this.#sockets.push(socket)
    return ask
  }

  #next(): DownloadRequest | undefined {
    if (this.#asked === this.#wanted) return undefined
    return this.#plan.requests[this.#asked++ % this.#plan.requests.length]
  }

  #format(request: DownloadRequest): string {
    const { host, port, authorization } = this.#plan
    const credentials = authorization === undefined ? '' : `Authorization: ${authorization}\r\n`
    return `GET ${request.path} HTTP/1.1\r\nHost: ${host}:${port}\r\n${credentials}Accept: */*\r\n\r\n`
  }

  #expect(head: string, request: DownloadRequest): number {
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? -1)
    if (!head.startsWith('HTTP/1.1 200 ')) this.end(`${request.path}: ${head.slice(0, head.indexOf('\r'))}`)
    else if (length !== request.bytes) this.end(`${request.path}: ${length} bytes announced, ${request.bytes} expected`)
    return length
  }

  /** Reports, once, and ends the process; a second call changes nothing. */
  end(failure: string | undefined): void {
    if (this.#ended) return
    this.#ended = true
    const seconds = (performance.now() - this.#started) / 1_000
    const { user, system } = process.cpuUsage(this.#cpuAtStart)
    const report: DownloadReport = {
      seconds,
      bytes: this.#bytes,
      responses: this.#answered,
      clientBusy: (user + system) / 1e6 / seconds,
      failure,
    }
    process.stdout.write(JSON.stringify(report), () => process.exit(0))
    for (const socket of this.#sockets) socket.destroy()
  }
}
