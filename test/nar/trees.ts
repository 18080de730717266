/**
 * File trees for NAR tests: generated at random or by hand, written to disk, rebuilt from parser events, and dumped by
 * real Nix.
 *   { kind: 'directory', entries: [[Buffer('bin'), { kind: 'regular', content, isExecutable }], …] }  (in NAR order)
 */
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'

import type { NarRequest } from '../../src/nar/contract.ts'
import type { NarSink } from '../../src/nar/nar-sink.ts'
import { NarParser } from '../../src/nar/parse.ts'
import { encodeNix32 } from '../../src/nix/nix32.ts'
import { run } from '../fixtures/run.ts'

export type Tree =
  | { readonly kind: 'regular'; readonly content: Buffer; readonly isExecutable: boolean }
  | { readonly kind: 'symlink'; readonly target: Buffer }
  | { readonly kind: 'directory'; readonly entries: readonly (readonly [Buffer, Tree])[] }

export function file(content: string | Buffer, isExecutable = false): Tree {
  return { kind: 'regular', content: Buffer.from(content as string), isExecutable }
}

export function link(target: string | Buffer): Tree {
  return { kind: 'symlink', target: Buffer.from(target as string) }
}

export function directory(entries: Readonly<Record<string, Tree>> = {}): Tree {
  return sorted(Object.entries(entries).map(([name, tree]) => [Buffer.from(name), tree]))
}

/** Makes a directory whose names need not be text. */
export function sorted(entries: readonly (readonly [Buffer, Tree])[]): Tree {
  return { kind: 'directory', entries: [...entries].sort(([a], [b]) => Buffer.compare(a, b)) }
}

const anyByte = (min: number) => fc.integer({ min, max: 255 }).filter((byte) => byte !== 0x2f)
const bytesOf = (array: readonly number[]) => Buffer.from(array)
const name = fc
  .array(anyByte(1), { minLength: 1, maxLength: 20 })
  .map(bytesOf)
  .filter((bytes) => !['.', '..'].includes(bytes.toString('latin1')))
const content = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes))

export const anyTree: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    fc.record({ kind: fc.constant('regular' as const), content, isExecutable: fc.boolean() }),
    fc.record({
      kind: fc.constant('symlink' as const),
      target: fc.array(anyByte(1), { minLength: 1, maxLength: 30 }).map(bytesOf),
    }),
    fc
      .uniqueArray(fc.tuple(name, tie('tree')), { maxLength: 6, selector: ([bytes]) => bytes.toString('latin1') })
      .map(sorted),
  ),
})).tree

/** A temporary directory, removed at the end of `using` or `await using`. */
export class TempDir implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'burrow-nar-'))

  /** Writes a tree under this name and returns its path. */
  write(name: string, tree: Tree): string {
    writeTree(Buffer.from(join(this.path, name)), tree)
    return join(this.path, name)
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

export function writeTree(path: Buffer, tree: Tree): void {
  if (tree.kind === 'symlink') symlinkSync(tree.target, path)
  else if (tree.kind === 'regular') writeFileSync(path, tree.content, { mode: tree.isExecutable ? 0o755 : 0o644 })
  else {
    mkdirSync(path)
    for (const [entry, child] of tree.entries) writeTree(Buffer.concat([path, Buffer.from('/'), entry]), child)
  }
}

/** Dumps the NAR with real Nix. */
export async function dumpWithNix(path: string): Promise<Buffer> {
  const { stdoutBytes } = await run('nix-store', ['--dump', path])
  return stdoutBytes
}

export function requestFor(realPath: string, nar: Uint8Array): NarRequest {
  return { realPath, narHash: `sha256:${encodeNix32(createHash('sha256').update(nar).digest())}`, narSize: nar.length }
}

/** Parses a NAR, pushed in pieces of `pieceBytes`, to a tree. Throws what the parser throws. */
export function parseTree(nar: Uint8Array, pieceBytes = nar.length): Tree {
  const builder = new TreeBuilder()
  const parser = new NarParser(builder)
  for (let at = 0; at < nar.length; at += pieceBytes) parser.push(nar.subarray(at, at + pieceBytes))
  parser.end()
  return builder.top!
}

class TreeBuilder implements NarSink {
  top: Tree | undefined
  readonly #open: [Buffer, Tree][][] = []
  #file: { name: Buffer; size: number; isExecutable: boolean; parts: Buffer[] } | undefined

  directory(name: Uint8Array): void {
    const entries: [Buffer, Tree][] = []
    this.#add(name, { kind: 'directory', entries })
    this.#open.push(entries)
  }

  leaveDirectory(): void {
    this.#open.pop()
  }

  regular(name: Uint8Array, size: number, isExecutable: boolean): void {
    this.#file = { name: Buffer.from(name), size, isExecutable, parts: [] }
  }

  content(bytes: Uint8Array): void {
    this.#file!.parts.push(Buffer.from(bytes))
  }

  leaveRegular(): void {
    const { name, size, isExecutable, parts } = this.#file!
    const content = Buffer.concat(parts)
    if (content.length !== size) throw new Error(`The parser announced ${size} bytes and gave ${content.length}`)
    this.#add(name, { kind: 'regular', content, isExecutable })
  }

  symlink(name: Uint8Array, target: Uint8Array): void {
    this.#add(name, { kind: 'symlink', target: Buffer.from(target) })
  }

  #add(name: Uint8Array, tree: Tree): void {
    const into = this.#open.at(-1)
    if (into) into.push([Buffer.from(name), tree])
    else this.top = tree
  }
}

/** Paths below `dir` that this process (all threads) has open. Removed ones end in ` (deleted)`. */
export function openFilesBelow(dir: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`)
      return path.startsWith(dir) ? [path] : []
    } catch {
      return []
    }
  })
}
