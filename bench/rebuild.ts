/**
 * A simulated rebuild: the machine's own files with store paths in place of `/usr/`, and one every 32 KiB, twice, with
 * other hashes. That is what a change of a dependency does to most of a closure.
 */
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { findSourceFiles } from './content.ts'
import { say } from './progress.ts'
import { workDir } from './work-dir.ts'

const bytesOfContent = 67e6
const dependencies = 16
const runLength = 40
const stride = 1777
const replaced = '/usr/'
const pieces = /.{1,32768}/gs

/** Returns the two directories; those of an earlier run are taken as they are. */
export function makeRebuild(): { readonly base: string; readonly target: string } {
  const [base, target] = ['before', 'after'].map((build) => {
    const dir = join(workDir, 'rebuild', build)
    if (existsSync(dir)) return dir
    say(`writing the files of a build (${build})`)
    rmSync(`${dir}.new`, { recursive: true, force: true })
    writeBuild(`${dir}.new`, build)
    renameSync(`${dir}.new`, dir)
    return dir
  }) as [string, string]
  return { base, target }
}

function writeBuild(dir: string, build: string): void {
  const files = findSourceFiles()
  let left = bytesOfContent
  // Runs of neighbours from all over the machine, as a closure has them.
  for (let i = 0; left > 0; i++) {
    const file = files[(i + Math.floor(i / runLength) * stride) % files.length]!
    const path = join(dir, file.path)
    mkdirSync(dirname(path), { recursive: true })
    const content = rewrite(readFileSync(file.path, 'latin1'), build)
    writeFileSync(path, content, 'latin1')
    chmodSync(path, file.executable ? 0o555 : 0o444)
    left -= content.length
  }
}

/** One character a byte. */
function rewrite(content: string, build: string): string {
  let count = 0
  const storePath = (): string => `/nix/store/${hashPart(build, count++ % dependencies)}-dependency/`
  return (content.replaceAll(replaced, storePath).match(pieces) ?? []).map((piece) => piece + storePath()).join('')
}

/** 32 characters, as different as real ones. */
function hashPart(build: string, dependency: number): string {
  return createHash('sha256').update(`${build} ${dependency}`).digest('hex').slice(0, 32)
}
