/** What a NAR parser reports: the parts of a NAR in their order, or that the input is not one. */

/**
 * Receives parser events in NAR order. The top's name is empty. Names, targets and content are valid only during the
 * call.
 */
export interface NarSink {
  /** A directory starts. Its entries follow, then `leaveDirectory`. */
  directory(name: Uint8Array): void
  leaveDirectory(): void
  /**
   * A file starts. `size` bytes follow in calls of `content` (none if it is empty), then `leaveRegular`. `narOffset` is
   * the offset of its content in the NAR.
   */
  regular(name: Uint8Array, size: number, isExecutable: boolean, narOffset: number): void
  content(bytes: Uint8Array): void
  leaveRegular(): void
  symlink(name: Uint8Array, target: Uint8Array): void
}

/** The input is not a valid NAR. */
export class NarSyntaxError extends Error {
  override readonly name = 'NarSyntaxError'
  /** Offset in the NAR at which the error was detected. */
  readonly offset: number

  constructor(message: string, offset: number) {
    super(`Cannot read the NAR at byte ${offset}: ${message}`)
    this.offset = offset
  }
}
