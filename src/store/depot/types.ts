/** What the depot's parts say to each other and to the HTTP routes. Everything here can be cloned between threads. */
import type { Compression } from '../../nix/nar-info.ts'
import type { PathInfo } from '../../nix/path-info.ts'

/** Who pushes, as the events remember it. */
export interface Pusher {
  readonly user: string
  readonly via: 'nix' | 'burrow'
  readonly address?: string | undefined
  readonly ray?: string | undefined
  readonly client?: string | undefined
}

/** The codes of refusals. HTTP maps them to statuses; the texts are fit for strangers. */
export type RefusalCode =
  /** The body is not what its name or length says (422). */
  | 'file-mismatch'
  /** It does not decompress, or is no NAR (422). */
  | 'bad-nar'
  /** No program for this compression here, or one that is not supported (415). */
  | 'unsupported'
  /** Larger than allowed (413). */
  | 'too-big'
  /** No room in the depot or on its disk (413 for Nix, 507 for Burrow's client). */
  | 'no-room'
  /** The user's own limit is reached (413 for Nix, 507 for Burrow's client). */
  | 'quota'
  /** The record contradicts the NAR or itself (422). */
  | 'mismatch'
  /** A reference is nowhere to be found (422). */
  | 'missing-reference'
  /** The record names a NAR that is not here (422). */
  | 'missing-nar'
  /** Refused by the configuration, or forgotten by an administrator (403). */
  | 'policy'
  /** Other content is here under this name (409). */
  | 'conflict'
  /** Not now: too much at once (503 for Burrow's client; Nix is read slowly instead). */
  | 'busy'
  /** The depot cannot work at the moment; the log says why (503 for Burrow's client, 422 for Nix). */
  | 'unavailable'
  /** The sender went away or the server ends. */
  | 'cut'

export interface Refusal {
  readonly status: 'refused'
  readonly code: RefusalCode
  /** A sentence for the person who pushes; names no path of this machine. */
  readonly reason: string
}

export function refuse(code: RefusalCode, reason: string): Refusal {
  return { status: 'refused', code, reason }
}

/** Thrown inside the depot; every public call returns its `refusal` instead. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly refusal: Refusal

  constructor(code: RefusalCode, reason: string, options?: ErrorOptions) {
    super(reason, options)
    this.refusal = refuse(code, reason)
  }
}

/** A NAR in the depot, and the file that holds it. */
export interface NarRecord {
  readonly narHash: string
  readonly narSize: number
  readonly compression: Compression
  readonly fileHash: string
  readonly fileSize: number
  /** SHA-256 of the content when the NAR is a single plain file. */
  readonly flatHash: string | undefined
  readonly isDamaged: boolean
}

/** What a pusher says of a path: the signed part of a narinfo and what goes with it. */
export type PathRecord = Pick<
  PathInfo,
  'storePath' | 'narHash' | 'narSize' | 'references' | 'deriver' | 'signatures' | 'contentAddress'
>

export interface PushedPath extends PathRecord {
  /** Which uploaded file holds it, as a narinfo says; without it the NAR hash decides. */
  readonly file?:
    | { readonly fileHash: string; readonly fileSize?: number | undefined; readonly compression: Compression }
    | undefined
}

export interface Conflict {
  readonly status: 'conflict'
  /** Milliseconds since 1970. */
  readonly since: number
  readonly by: string
  readonly narHash: string
}

export type Registered = { readonly status: 'registered' | 'present' | 'elsewhere' } | Conflict | Refusal

export type NarReceived =
  | { readonly status: 'stored' | 'known'; readonly narHash: string; readonly narSize: number }
  | Refusal

export interface DepotPolicy {
  readonly maxNarBytes: number
  /** `closed`: each reference must be in the depot, in the same commit, in the local store or at an upstream. */
  readonly references: 'closed' | 'any'
  /** Public keys `name:base64` of caches whose paths need not be sent. */
  readonly upstreamKeys: readonly string[]
  /** When not empty, a path must be content-addressed or carry a signature of one of these. */
  readonly requireSignatures: readonly string[]
  /** Sources of regular expressions; a path whose base name matches one is refused. */
  readonly refuse: readonly string[]
  readonly keepUnfinishedMs: number
  /** How long a push waits for what is copied from the local store; the copy goes on, and the next push finds it. */
  readonly adoptionWaitMs: number
  readonly bytesPerDayPerUser: number
  readonly unfinishedBytesPerUser: number
  /** A push counts as use for so long, whatever else. */
  readonly keepPushedMs: number
  readonly keepUnusedMs: number
  /** What was served so recently may still be fetched. */
  readonly leaseMs: number
}

export const defaultPolicy: DepotPolicy = {
  maxNarBytes: 64 * 2 ** 30,
  references: 'closed',
  upstreamKeys: ['cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY='],
  requireSignatures: [],
  refuse: [],
  keepUnfinishedMs: 24 * 3_600_000,
  adoptionWaitMs: 40_000,
  bytesPerDayPerUser: Number.MAX_SAFE_INTEGER,
  unfinishedBytesPerUser: 20 * 2 ** 30,
  keepPushedMs: 24 * 3_600_000,
  keepUnusedMs: 30 * 24 * 3_600_000,
  leaseMs: 3_600_000,
}

export interface DepotEvent {
  readonly at: number
  readonly user: string
  readonly address: string | undefined
  readonly ray: string | undefined
  readonly action: string
  readonly storePath: string | undefined
  readonly narHash: string | undefined
  readonly detail: string | undefined
}
