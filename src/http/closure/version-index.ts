/** Which store objects are versions of the same thing, by name: what a delta can start from. */
import { nameWithoutVersion } from '../../delta/worth.ts'
import { hashPartOf, nameOf } from '../../nix/store-path.ts'
import type { PathFeed } from '../names/path-feed.ts'

/** Of one name, the latest. */
const maxVersions = 16

export class VersionIndex {
  readonly #feed: PathFeed
  /** Hash parts by name without version, the latest last. */
  readonly #hashParts = new Map<string, string[]>()

  constructor(feed: PathFeed) {
    this.#feed = feed
    feed.subscribe(({ storePath }) => this.#add(storePath))
  }

  /** Adds what came since the last time. Resolves when the index is complete. Never rejects. */
  update(): Promise<void> {
    return this.#feed.update()
  }

  /** Hash parts of paths with the same name but for the version, the latest first, without this one. They may be gone. */
  find(storePath: string): readonly string[] {
    const own = hashPartOf(storePath)
    const versions = this.#hashParts.get(nameWithoutVersion(nameOf(storePath))) ?? []
    return versions.filter((hashPart) => hashPart !== own).toReversed()
  }

  #add(storePath: string): void {
    const name = nameWithoutVersion(nameOf(storePath))
    const versions = this.#hashParts.get(name)
    const hashPart = hashPartOf(storePath)
    if (versions === undefined) this.#hashParts.set(name, [hashPart])
    else if (!versions.includes(hashPart)) {
      versions.push(hashPart)
      if (versions.length > maxVersions) versions.shift()
    }
  }
}
