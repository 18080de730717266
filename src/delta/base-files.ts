/** What a decoder may see of a base: regular files by their path, and nothing else. */

export interface BaseFiles {
  /**
   * Opens the regular file at this path below the base's top. Names are separated by `/` and are not checked to be
   * text; the path has no empty name, no `.` and no `..`, and is empty for the top itself. Must not follow symlinks.
   * Rejects if there is no such file.
   */
  open(path: Buffer): Promise<BaseFile>
}

export interface BaseFile {
  /** Bytes. */
  readonly size: number
  /** Fills `into` from `position`, all of it. Rejects if the file ends before. */
  read(into: Uint8Array, position: number): Promise<void>
  /** Idempotent. No read may be under way. */
  close(): void
}
