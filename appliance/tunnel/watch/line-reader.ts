/**
 * Bytes of a pipe as lines. A line longer than the limit is handed on cut, and its rest is thrown away as it comes:
 * nothing but one cut line is ever kept.
 */

export interface LineReader {
  push(chunk: Buffer): void
  /** The pipe ended: what has no newline is a line too. */
  end(): void
}

const newline = 0x0a

/** `onLine` gets the bytes without their newline; they are only good during the call. */
export function createLineReader(onLine: (line: Buffer) => void, maxBytes: number): LineReader {
  // Of the line that is not yet whole: its beginning, and whether that was handed on already.
  let kept: Buffer | undefined
  let keptBytes = 0
  let isSkipping = false

  function keep(part: Buffer): void {
    if (isSkipping || part.length === 0) return
    kept ??= Buffer.allocUnsafe(maxBytes)
    keptBytes += part.copy(kept, keptBytes)
    if (keptBytes < maxBytes) return
    flush()
    isSkipping = true
  }

  function flush(): void {
    if (kept !== undefined && keptBytes > 0) onLine(kept.subarray(0, keptBytes))
    keptBytes = 0
  }

  return {
    push(chunk) {
      let start = 0
      for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
        if (keptBytes === 0 && !isSkipping) onLine(chunk.subarray(start, Math.min(end, start + maxBytes)))
        else {
          keep(chunk.subarray(start, end))
          flush()
        }
        isSkipping = false
        start = end + 1
      }
      keep(chunk.subarray(start))
    },
    end() {
      flush()
      isSkipping = false
      kept = undefined
    },
  }
}
