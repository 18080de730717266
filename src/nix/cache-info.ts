/**
 * The `/nix-cache-info` document:
 *
 *     StoreDir: /nix/store
 *     WantMassQuery: 1
 *     Priority: 30
 *
 * Source: Nix manual, "Binary cache store".
 */

export interface CacheInfo {
  readonly storeDir: string
  /** Whether clients may query many paths in bulk. */
  readonly wantMassQuery: boolean
  /** The lowest number is preferred; cache.nixos.org uses 40. */
  readonly priority: number
}

export function formatCacheInfo({ storeDir, wantMassQuery, priority }: CacheInfo): string {
  return `StoreDir: ${storeDir}\nWantMassQuery: ${wantMassQuery ? 1 : 0}\nPriority: ${priority}\n`
}

/**
 * Parses like Nix: unknown keys and lines without a colon are ignored, and missing fields get Nix's defaults (0 for the
 * priority).
 * `storeDir` is undefined when the field is missing. Returns undefined for a priority that is not an integer, because
 * Nix clients abort on it.
 */
export function parseCacheInfo(
  text: string,
): (Omit<CacheInfo, 'storeDir'> & { readonly storeDir: string | undefined }) | undefined {
  let storeDir: string | undefined
  let wantMassQuery = false
  let priority = 0
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    if (colon < 0) continue
    const value = line.slice(colon + 1).trim()
    switch (line.slice(0, colon)) {
      case 'StoreDir':
        storeDir = value
        break
      case 'WantMassQuery':
        wantMassQuery = value === '1'
        break
      case 'Priority':
        if (!/^[+-]?\d{1,9}$/.test(value)) return undefined
        priority = Number(value)
    }
  }
  return { storeDir, wantMassQuery, priority }
}
