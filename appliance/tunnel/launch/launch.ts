/**
 * One start of a connector: program, arguments, environment, the files it reads.
 */
import type { LoopbackAddress } from '../watch/readiness.ts'

export interface Launch {
  /** The executable, absolute. */
  readonly command: string
  readonly args: readonly string[]
  /** All of the child's environment. */
  readonly env: Readonly<Record<string, string>>
  /** The connector's own config, which identifies the process. */
  readonly configFile: string
  readonly tunnelId: string | undefined
  /** Where it will answer; `undefined` when it must be read from its log. */
  readonly metrics: LoopbackAddress | undefined
  /** Texts that must not appear in any log. */
  readonly secrets: readonly string[]
  /** The connector has read its secret (or ended): removes the file that held it. Idempotent; never rejects. */
  forgetSecret(): Promise<void>
}

/** Why a connector cannot be started as things stand. */
export class LaunchFault extends Error {
  override readonly name = 'LaunchFault'
  readonly remedy: string

  constructor(message: string, remedy: string, options?: ErrorOptions) {
    super(message, options)
    this.remedy = remedy
  }
}

export interface Binary {
  /** Absolute. */
  readonly path: string
  /** The output of `cloudflared version --short`: `2026.8.2`; `undefined` if that is not a version. */
  readonly version: string | undefined
}
