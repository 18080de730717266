/** Opens the files of the two trees of which a delta is made, by their entries. */
import { Fault } from '../faults.ts'
import type { Layout } from '../nar/layout.ts'
import type { BaseFile } from './base-files.ts'
import type { BaseReference } from './instructions.ts'
import { findPartners, hasContent, noPartner } from './partners.ts'
import { TreeFiles } from './tree-files.ts'

/** An open file of the base. */
export interface Partner extends BaseReference {
  /** Rejects with the fault absent. */
  read(into: Buffer, offset: number): Promise<void>
}

export class FilePairs {
  readonly #base: Layout
  readonly #target: Layout
  readonly #baseFiles: TreeFiles
  readonly #targetFiles: TreeFiles
  readonly #partners: Int32Array
  #open: BaseFile[] = []

  constructor(base: Layout, target: Layout) {
    this.#base = base
    this.#target = target
    this.#baseFiles = new TreeFiles(base.realPath)
    this.#targetFiles = new TreeFiles(target.realPath)
    this.#partners = findPartners(base, target)
  }

  /** Number of the target's entries. */
  get entries(): number {
    return this.#target.entries
  }

  /** The size of a file that has content and no partner; otherwise undefined. */
  loneSize(entry: number): number | undefined {
    return this.#partners[entry] === noPartner && hasContent(this.#target, entry)
      ? this.#target.sizes[entry]
      : undefined
  }

  /** Rejects with the faults nar-changed, nar-unreadable and busy. */
  async openTarget(entry: number): Promise<BaseFile> {
    const file = await this.#targetFiles.open(pathBelow(this.#target, entry))
    this.#open.push(file)
    const size = this.#target.sizes[entry]!
    if (file.size !== size) {
      throw new Fault(
        'nar-changed',
        `Cannot make a delta for "${this.#target.pathOf(entry)}": it has ${file.size} bytes, not ${size}; let Nix verify and repair the path`,
      )
    }
    return file
  }

  /** Undefined if the target's file has none. Rejects with the fault absent. */
  async openPartner(entry: number): Promise<Partner | undefined> {
    const partner = this.#partners[entry]!
    if (partner === noPartner) return undefined
    const path = pathBelow(this.#base, partner)
    const file = await this.#baseFiles.open(path).catch(throwAbsent)
    this.#open.push(file)
    const isSamePath = path.equals(pathBelow(this.#target, entry))
    return {
      path: isSamePath ? undefined : path,
      size: file.size,
      read: (into, offset) => file.read(into, offset).catch(throwAbsent),
    }
  }

  /** Closes the files that were opened. */
  closeFiles(): void {
    for (const file of this.#open) file.close()
    this.#open = []
  }
}

/** An unreadable base says nothing against the target. */
function throwAbsent(error: unknown): never {
  throw new Fault('absent', `Cannot make a delta: ${(error as Error).message}`, { cause: error })
}

function pathBelow(layout: Layout, entry: number): Buffer {
  return layout.pathOf(entry).subarray(layout.realPath.length + 1)
}
