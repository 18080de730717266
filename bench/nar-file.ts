/**
 * Writes the NAR of a file tree to a file and hashes it: a second, deliberately plain maker of NARs, so that the
 * cache's own packer is not measured against itself. Real Nix confirms every hash it gives (`nix-store --verify
 * --check-contents`) before a run uses them. Source: Nix manual, "Nix Archive (NAR) format".
 */
import { createHash } from 'node:crypto'
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, writeSync } from 'node:fs'

export interface NarSummary {
  /** 64 hexadecimal digits. */
  readonly sha256: string
  readonly bytes: number
}

export function writeNarFile(tree: string, narFile: string): NarSummary {
  const out = openSync(narFile, 'w', 0o644)
  try {
    const sink = new NarSink(out)
    sink.text('nix-archive-1')
    writeNode(Buffer.from(tree), sink)
    return sink.finish()
  } finally {
    closeSync(out)
  }
}

function writeNode(path: Buffer, sink: NarSink): void {
  const stat = lstatSync(path)
  sink.text('(', 'type')
  if (stat.isSymbolicLink()) sink.text('symlink', 'target', readlinkSync(path, { encoding: 'buffer' }))
  else if (stat.isDirectory()) {
    sink.text('directory')
    for (const name of readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare)) {
      sink.text('entry', '(', 'name', name, 'node')
      writeNode(Buffer.concat([path, Buffer.from('/'), name]), sink)
      sink.text(')')
    }
  } else {
    sink.text('regular')
    if (stat.mode & 0o100) sink.text('executable', '')
    sink.text('contents')
    sink.file(path, stat.size)
  }
  sink.text(')')
}

class NarSink {
  readonly #out: number
  readonly #hash = createHash('sha256')
  readonly #buffer = Buffer.alloc(1 << 20)
  #used = 0
  #written = 0

  constructor(out: number) {
    this.#out = out
  }

  text(...tokens: readonly (string | Buffer)[]): void {
    for (const token of tokens) {
      const bytes = Buffer.from(token)
      const padded = Buffer.alloc(8 + Math.ceil(bytes.length / 8) * 8)
      padded.writeBigUInt64LE(BigInt(bytes.length))
      bytes.copy(padded, 8)
      if (this.#used + padded.length > this.#buffer.length) this.#flush()
      this.#used += padded.copy(this.#buffer, this.#used)
    }
  }

  file(path: Buffer, size: number): void {
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(size))
    if (this.#used + 16 > this.#buffer.length) this.#flush()
    this.#used += length.copy(this.#buffer, this.#used)
    const fd = openSync(path, 'r')
    try {
      for (let left = size; left > 0; ) {
        if (this.#used === this.#buffer.length) this.#flush()
        const got = readSync(fd, this.#buffer, this.#used, Math.min(left, this.#buffer.length - this.#used), null)
        if (got === 0) throw new Error(`Cannot pack "${path}": it is shorter than ${size} bytes`)
        this.#used += got
        left -= got
      }
    } finally {
      closeSync(fd)
    }
    const padding = (8 - (size % 8)) % 8
    if (this.#used + padding > this.#buffer.length) this.#flush()
    this.#buffer.fill(0, this.#used, this.#used + padding)
    this.#used += padding
  }

  finish(): NarSummary {
    this.#flush()
    return { sha256: this.#hash.digest('hex'), bytes: this.#written }
  }

  #flush(): void {
    const bytes = this.#buffer.subarray(0, this.#used)
    this.#hash.update(bytes)
    writeSync(this.#out, bytes)
    this.#written += bytes.length
    this.#used = 0
  }
}
