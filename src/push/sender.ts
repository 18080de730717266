/** Sends the bodies of uploads, with a digest, and measures the throughput. */
import type { FarEnd, FarReply } from './far-end.ts'
import { contentDigest } from './frames.ts'
import { LineSpeed } from './line-speed.ts'

export interface UploadRequest {
  readonly method: 'PUT' | 'POST'
  readonly path: string
  readonly body: Buffer
  readonly contentType: string
}

/** Retries of a request whose body arrived damaged. */
const maxDamaged = 5

export class Sender {
  readonly #farEnd: FarEnd
  readonly #speed = new LineSpeed(() => performance.now())

  constructor(farEnd: FarEnd) {
    this.#farEnd = farEnd
  }

  /** Throughput so far; undefined until there are two seconds of measurements. */
  get bitsPerSecond(): number | undefined {
    return this.#speed.bitsPerSecond
  }

  /** Sends a body, and again if it arrived damaged. Rejects as `FarEnd.request` does. */
  async send({ method, path, body, contentType }: UploadRequest): Promise<FarReply> {
    const headers = { 'content-type': contentType, 'content-digest': contentDigest(body), accept: 'application/json' }
    this.#speed.begin()
    try {
      for (let damaged = 0; ; damaged++) {
        const reply = await this.#farEnd.request({ method, path, headers, body })
        if (reply.status !== 422 || damaged === maxDamaged) return reply
      }
    } finally {
      this.#speed.end(body.length)
    }
  }
}
