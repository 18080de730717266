/**
 * The request targets of the two hot routes, and the NAR URLs in narinfos:
 *
 *     /<hash part>.narinfo
 *     /nar/<hash part>-<NAR hash>.nar                 the NAR as it is
 *     /nar/<hash part>-<NAR hash>.<recipe>.nar        compressed; recipe: zstd-<level>-<zstd version>, or file-<file hash or another id> for a stored file
 *     /nar/<hash part>-<NAR hash>.delta-<…>-<base's hash part>-<base's NAR hash>.nar      a delta, for a relay
 *
 * A URL contains everything its bytes depend on, because a client that resumes a download appends to the bytes it has.
 * It ends in `.nar` because the edge caches `.zst`, `.gz` and `.bz2` by extension, and it has no query because clients
 * re-encode queries.
 */

export type HotTarget =
  | { readonly route: 'narinfo'; readonly hashPart: string }
  | {
      readonly route: 'nar'
      readonly hashPart: string
      /** 52 Nix32 characters. */
      readonly narHash: string
      /** Undefined for the uncompressed NAR. */
      readonly recipe: string | undefined
      /** Of a delta: what it starts from; `recipe` is then the larder's. */
      readonly base?: { readonly hashPart: string; readonly narHash: string }
    }

export type NarTarget = Extract<HotTarget, { route: 'nar' }>

const narInfoPath = /^\/([0-9a-df-np-sv-z]{32})\.narinfo$/
const narPath =
  /^\/nar\/([0-9a-df-np-sv-z]{32})-([01][0-9a-df-np-sv-z]{51})(?:\.(zstd-[0-9a-z.-]{1,30}|file-[01][0-9a-df-np-sv-z]{51}))?\.nar$/

const deltaPath =
  /^\/nar\/([0-9a-df-np-sv-z]{32})-([01][0-9a-df-np-sv-z]{51})\.(delta-[0-9a-z.-]{1,30})-([0-9a-df-np-sv-z]{32})-([01][0-9a-df-np-sv-z]{51})\.nar$/

/** Expects a decoded path or a raw target without query. Undefined for any other route. */
export function parseHotTarget(path: string): HotTarget | undefined {
  const narInfo = narInfoPath.exec(path)
  if (narInfo !== null) return { route: 'narinfo', hashPart: narInfo[1]! }
  const nar = narPath.exec(path)
  if (nar !== null) return { route: 'nar', hashPart: nar[1]!, narHash: nar[2]!, recipe: nar[3] }
  const delta = deltaPath.exec(path)
  if (delta === null) return undefined
  const [, hashPart, narHash, kind, baseHashPart, baseNarHash] = delta as unknown as string[] & [string]
  const base = { hashPart: baseHashPart!, narHash: baseNarHash! }
  return { route: 'nar', hashPart: hashPart!, narHash: narHash!, recipe: `${kind}-${baseNarHash}`, base }
}

/** The URL of a delta. NAR hashes with their `sha256:`; `recipe` is the larder's, and ends with the base's NAR hash. */
export function formatDeltaUrl(hashPart: string, narHash: string, baseHashPart: string, recipe: string): string {
  const at = recipe.lastIndexOf('-')
  return formatNarUrl(hashPart, narHash, `${recipe.slice(0, at)}-${baseHashPart}${recipe.slice(at)}`)
}

/** The `URL` field of a narinfo: relative to the cache's own URL. `narHash` with its `sha256:`. */
export function formatNarUrl(hashPart: string, narHash: string, recipe: string | undefined): string {
  return `nar/${hashPart}-${narHash.slice('sha256:'.length)}${recipe === undefined ? '' : `.${recipe}`}.nar`
}

export function isFileRecipe(recipe: string | undefined): boolean {
  return recipe?.startsWith('file-') === true
}

/** The recipe of a NAR that is served as it is stored. `id` identifies the stored bytes. */
export function fileRecipe(id: string): string {
  return `file-${id}`
}

/**
 * The path and query of a request target in any of its forms (RFC 9112, section 3.2): a proxy's `http://host/path` and a
 * fragment, which Node's parser lets pass, name our own path. Access rules and routes must read the same one.
 */
export function toOriginForm(target: string): string {
  if (target.startsWith('/') && !target.includes('#')) return target
  const path = target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').replace(/#.*$/s, '')
  return path.startsWith('/') ? path : `/${path}`
}
