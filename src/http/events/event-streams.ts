/**
 * Server-sent events: a page stays up to date while it is open. Source: HTML, "Server-sent events". A stream is a reply
 * that does not end, so there are few of them, each can be ended at any time, and a comment now and then keeps proxies
 * from closing it. cloudflared passes each event on at once because of its content type.
 */
import { networkOf } from '../auth/client-address.ts'
import type { Reply } from '../reply.ts'

export interface EventStreams {
  /** Sends what `render` returns, now and whenever it has changed. Answers 503 if there are too many streams. */
  start(reply: Reply, render: () => string): void
  /** Ends all streams, for a stop; further ones are refused. */
  end(): void
  readonly count: number
}

export interface EventStreamsOptions {
  /** Calls back after this time, unless the returned function is called first. */
  after(ms: number, callback: () => void): () => void
  /** False when the reader's login is not valid any more. */
  mayContinue(reply: Reply): boolean
}

const maxStreams = 128
/** Tabs of one user. */
const maxPerReader = 6
export const renderIntervalMs = 3_000
/** A browser then asks for a new stream, and Cloudflare Access checks its visitor again. */
const maxStreamMs = 600_000
/** cloudflared and browsers wait longer; a mobile network does not. */
export const heartbeatMs = 20_000

export function createEventStreams({ after, mayContinue }: EventStreamsOptions): EventStreams {
  const streams = new Map<Reply, () => void>()
  let isEnded = false

  const countOf = (reader: string) => [...streams.keys()].filter((reply) => readerOf(reply) === reader).length

  return {
    get count() {
      return streams.size
    },

    start(reply, render) {
      if (isEnded || streams.size >= maxStreams || countOf(readerOf(reply)) >= maxPerReader)
        return reply.postpone(isEnded ? 5 : 30)
      const { response } = reply
      reply.begin(200, 'missed', ['Content-Type', 'text/event-stream', 'X-Accel-Buffering', 'no'])
      if (reply.isHead) return void response.end()
      let last: string | undefined
      let silentMs = 0
      let ageMs = 0
      let stop = () => {}
      const tick = () => {
        if (!mayContinue(reply)) return close()
        const text = render()
        silentMs += renderIntervalMs
        ageMs += renderIntervalMs
        if (ageMs > maxStreamMs) return close()
        // A reader that does not read gets nothing more until it does: nothing piles up in memory.
        if (!response.writableNeedDrain && (text !== last || silentMs >= heartbeatMs)) {
          const message = text === last ? ': still here\n\n' : formatEvent(text)
          response.write(message)
          reply.bytes += Buffer.byteLength(message)
          last = text
          silentMs = 0
        }
        stop = after(renderIntervalMs, tickOrClose)
      }
      // Nothing catches what a timer throws: it would end the process. The next stream answers and logs the error.
      const tickOrClose = () => {
        try {
          tick()
        } catch {
          close()
        }
      }
      const close = () => {
        stop()
        streams.delete(reply)
        response.end()
      }
      streams.set(reply, close)
      response.once('close', close)
      tick()
    },

    end() {
      isEnded = true
      for (const close of streams.values()) close()
    },
  }
}

/** Each line of the text is a line of data. */
function formatEvent(text: string): string {
  return `${text
    .split('\n')
    .map((line) => `data: ${line}\n`)
    .join('')}\n`
}

const readerOf = (reply: Reply) => reply.user ?? networkOf(reply.address)
