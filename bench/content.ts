/**
 * What the benchmark's store objects are made of: the machine's own files, so that sizes of files, numbers of files in
 * a folder and above all compression ratios are those of real software.
 */
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  symlinkSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

export interface SourceFile {
  readonly path: string
  readonly size: number
  readonly executable: boolean
}

/** Larger single files would be a whole object by themselves. */
const largestSource = 48 << 20
/**
 * Archives are left out. Debian compresses its documentation and manual pages one by one and developers' machines hold
 * many a vendor's archive; a system's closure holds next to none, and with them the NARs would shrink less than those
 * of a real store.
 */
const archive = /\.(gz|xz|bz2|zst|zip|tgz|jar|jmod|whl|rpm|deb)$/

/**
 * Every regular, non-empty file under `/usr`, in the order of the folders: neighbours belong together, as in a package.
 */
export function findSourceFiles(): SourceFile[] {
  const files: SourceFile[] = []
  const visit = (dir: string): void => {
    for (const entry of readdirSync(dir, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(dir, entry.name)
      if (entry.isDirectory()) visit(path)
      else if (entry.isFile()) {
        const { size, mode } = lstatSync(path)
        if (size > 0 && size <= largestSource && !archive.test(entry.name))
          files.push({ path, size, executable: (mode & 0o100) !== 0 })
      }
    }
  }
  visit('/usr')
  return files
}

/** Names of the machine's packages, fit for store paths. */
export function findPackageNames(): string[] {
  const names = readdirSync('/usr/share/doc').filter((name) => /^[a-z][0-9A-Za-z+._-]{1,40}$/.test(name))
  return names.length > 0 ? names : ['hello']
}

/** A folder tree of about `bytes` bytes: neighbouring files from `start` on, the last one cut to fit. */
export function writeTree(target: string, bytes: number, files: readonly SourceFile[], start: number): void {
  let left = Math.max(1, Math.round(bytes))
  let last = ''
  for (let i = start, taken = 0; left > 0; i++) {
    const file = files[i % files.length]!
    // A long file at the end of a small tree would make every small object one file; look further for some that fit.
    if (file.size > left && taken < 3 && i - start < 40) continue
    const relative = file.path.slice('/usr/'.length)
    const path = join(target, i - start >= files.length ? join('again', relative) : relative)
    mkdirSync(dirname(path), { recursive: true })
    left -= copySlice(file, path, left)
    last = path
    taken++
  }
  symlinkSync(basename(last), join(dirname(last), `${basename(last).slice(0, 200)}.link`))
}

/** One file of exactly `bytes` bytes: the files from `start` on, end to end. */
export function writeSingleFile(target: string, bytes: number, files: readonly SourceFile[], start: number): void {
  const out = openSync(target, 'wx', 0o644)
  const buffer = Buffer.alloc(1 << 20)
  for (let i = start, left = Math.max(1, Math.round(bytes)); left > 0; i++) {
    left -= pourFile(files[i % files.length]!, out, left, buffer)
  }
  closeSync(out)
  chmodSync(target, 0o444)
}

/** A folder of folders with `count` files of 40 to 1,500 bytes each: beginnings of real files. */
export function writeTinyFiles(
  target: string,
  count: number,
  files: readonly SourceFile[],
  random: () => number,
): void {
  const perFolder = 100
  for (let i = 0; i < count; i++) {
    const folder = join(target, 'share', String(Math.floor(i / perFolder)).padStart(4, '0'))
    if (i % perFolder === 0) mkdirSync(folder, { recursive: true })
    const file = files[Math.floor(random() * files.length)]!
    copySlice(file, join(folder, `${i}-${basename(file.path).slice(0, 60)}`), Math.round(40 + random() * 1_460))
  }
}

function copySlice(file: SourceFile, target: string, most: number): number {
  const out = openSync(target, 'w', 0o644)
  const copied = pourFile(file, out, most, Buffer.allocUnsafe(Math.min(most, file.size, 1 << 20)))
  closeSync(out)
  chmodSync(target, file.executable ? 0o555 : 0o444)
  return copied
}

function pourFile(file: SourceFile, out: number, most: number, buffer: Buffer): number {
  const fd = openSync(file.path, 'r')
  let poured = 0
  for (;;) {
    const got = readSync(fd, buffer, 0, Math.min(buffer.length, most - poured), null)
    if (got === 0) break
    writeSync(out, buffer, 0, got)
    poured += got
  }
  closeSync(fd)
  return Math.max(poured, 1)
}
