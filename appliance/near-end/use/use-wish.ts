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
  /** Prefix of the written files; paths inside of the files do not have it. */
  readonly root: string
  /** Whether systemd is running and is reloaded. */
  readonly isRunning: boolean
}

export interface UsePlan {
  readonly steps: readonly Step[]
  /** For --print: each file and its new contents, without the password. */
  readonly texts: readonly { readonly file: string; readonly text: string }[]
}
