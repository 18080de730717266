/** What `burrow use` is asked to set up, and its plan. */
import type { Step } from '../../plan/plan.ts'
import type { NetrcLogin } from '../netrc.ts'

export interface UseWish {
  readonly url: string
  /** `undefined` for a public cache. */
  readonly login: NetrcLogin | undefined
  readonly publicKeys: readonly string[]
  readonly withPush: boolean
  /** Nix asks the relay, which runs beside it; with `withPush` the relay pushes too. */
  readonly withRelay: boolean
  /** What is written lies below this directory; the texts name paths without it. */
  readonly root: string
  /** systemd runs here, and is to be told. */
  readonly isRunning: boolean
}

export interface UsePlan {
  readonly steps: readonly Step[]
  /** For --print: each file and its new contents, without the password. */
  readonly texts: readonly { readonly file: string; readonly text: string }[]
}
