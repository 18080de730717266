/**
 * What the file system says of a file without reading it. A write changes both times, and a copy put in its place is
 * another inode: while the stamp is unchanged, the bytes are those that were read before, as far as the disk itself
 * keeps them.
 */
import type { Stats } from 'node:fs'

export interface FileStamp {
  readonly device: number
  readonly inode: number
  readonly bytes: number
  /** Milliseconds, with fractions. */
  readonly modifiedMs: number
  readonly changedMs: number
}

/** That a file's bytes were right when it had this stamp. */
export interface Proof {
  readonly stamp: FileStamp
  /**
   * When they were last read and hashed, by a steady clock; before all time for what was written here and never read
   * back.
   */
  readonly readAtMs: number
}

export const neverRead = Number.NEGATIVE_INFINITY

/**
 * Two writes within one tick of a coarse clock leave the same time. A stamp younger than this proves nothing about what
 * comes next.
 */
const clockTickMs = 50

export function toFileStamp({ dev, ino, size, mtimeMs, ctimeMs }: Stats): FileStamp {
  return { device: dev, inode: ino, bytes: size, modifiedMs: mtimeMs, changedMs: ctimeMs }
}

export function isSameStamp(a: FileStamp, b: FileStamp): boolean {
  return (
    a.inode === b.inode &&
    a.device === b.device &&
    a.bytes === b.bytes &&
    a.modifiedMs === b.modifiedMs &&
    a.changedMs === b.changedMs
  )
}

/**
 * True when a change from now on would leave another stamp. The wall clock on purpose: it is the one that the file
 * system stamps with.
 */
export function isSettled({ changedMs }: FileStamp): boolean {
  return Math.abs(Date.now() - changedMs) > clockTickMs
}
