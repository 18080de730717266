/**
 * Cache of layouts: computing one takes as long as packing a tree of tiny files. A cached layout is valid only while
 * the top of the store object is the same file (device, inode, times); each file is checked again when it is read. Jobs
 * that need the same layout share one walk.
 */
import { lstatSync } from 'node:fs'
import { faultOfFile } from './file-faults.ts'
import type { Layout } from './layout.ts'
import { LayoutWalk } from './layout-walk.ts'

/** Limit for all cached layouts together. A layout that needs half of it is not cached. */
const maxBytes = 24 * 1024 * 1024

interface Remembered {
  readonly layout: Layout
  readonly identity: string
}

interface SharedWalk {
  readonly walk: LayoutWalk
  readonly identity: string
  claims: number
}

/** A job's reference to a layout; must always be released. */
export interface LayoutClaim {
  /** See `LayoutWalk.step`. */
  step(deadline: number): Layout | undefined
  release(): void
}

export class LayoutMemory {
  /** Least recently used first. */
  readonly #remembered = new Map<string, Remembered>()
  readonly #walks = new Map<string, SharedWalk>()
  #bytes = 0

  /** @param version the NAR hash, which the layout also depends on. Throws nar-changed, nar-unreadable. */
  claim(realPath: string, version: string): LayoutClaim {
    const key = `${version} ${realPath}`
    const identity = identityOf(realPath)
    const known = this.#remembered.get(key)
    if (known?.identity === identity) {
      this.#remembered.delete(key)
      this.#remembered.set(key, known)
      return { step: () => known.layout, release: () => {} }
    }
    this.forget(realPath, version)
    return this.#claimWalk(key, realPath, identity)
  }

  forget(realPath: string, version: string): void {
    this.#drop(`${version} ${realPath}`)
  }

  #claimWalk(key: string, realPath: string, identity: string): LayoutClaim {
    let shared = this.#walks.get(key)
    if (shared?.identity !== identity) {
      shared = { walk: new LayoutWalk(realPath), identity, claims: 0 }
      this.#walks.set(key, shared)
    }
    const mine = shared
    mine.claims++
    const leave = () => {
      if (--mine.claims === 0 && this.#walks.get(key) === mine) this.#walks.delete(key)
    }
    let isReleased = false
    return {
      step: (deadline) => {
        const layout = mine.walk.step(deadline)
        if (layout && this.#walks.get(key) === mine) {
          this.#walks.delete(key)
          this.#remember(key, layout, identity)
        }
        return layout
      },
      release: () => {
        if (!isReleased) leave()
        isReleased = true
      },
    }
  }

  #remember(key: string, layout: Layout, identity: string): void {
    if (layout.memoryBytes > maxBytes / 2) return
    this.#drop(key)
    this.#remembered.set(key, { layout, identity })
    this.#bytes += layout.memoryBytes
    for (const oldest of this.#remembered.keys()) {
      if (this.#bytes <= maxBytes) break
      this.#drop(oldest)
    }
  }

  #drop(key: string): void {
    const known = this.#remembered.get(key)
    if (!known) return
    this.#remembered.delete(key)
    this.#bytes -= known.layout.memoryBytes
  }
}

function identityOf(realPath: string): string {
  try {
    const { dev, ino, mode, size, mtimeMs, ctimeMs } = lstatSync(realPath)
    return `${dev} ${ino} ${mode} ${size} ${mtimeMs} ${ctimeMs}`
  } catch (error) {
    throw faultOfFile(error, 'inspect', Buffer.from(realPath))
  }
}
