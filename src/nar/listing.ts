/**
 * The `.ls` listing of a NAR: its tree with the offset of each file's content in the uncompressed NAR.
 * `{"version":1,"root":{"type":"directory","entries":{"bin":{…},"README":{"type":"regular","size":12,"narOffset":312}}}}`
 * Source: Nix, "NAR listing" (written by `write-nar-listing=true`).
 */
export type NarListing =
  | { readonly type: 'regular'; readonly size: number; readonly executable?: true; readonly narOffset: number }
  | { readonly type: 'symlink'; readonly target: string }
  | { readonly type: 'directory'; readonly entries: { readonly [name: string]: NarListing } }
