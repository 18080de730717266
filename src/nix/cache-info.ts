/**
 * What a cache says of itself at `/nix-cache-info`:
 *
 *     StoreDir: /nix/store
 *     WantMassQuery: 1
 *     Priority: 30
 *
 * Source: Nix manual, "Binary cache store".
 */

export interface CacheInfo {
  readonly storeDir: string
  /** Whether clients may ask in bulk which of many paths are here. */
  readonly wantMassQuery: boolean
  /** Lower wins; cache.nixos.org has 40. */
  readonly priority: number
}

export function formatCacheInfo({ storeDir, wantMassQuery, priority }: CacheInfo): string {
  return `StoreDir: ${storeDir}\nWantMassQuery: ${wantMassQuery ? 1 : 0}\nPriority: ${priority}\n`
}

/**
 * As Nix reads it: unknown keys and lines without a colon are passed over, and a missing field has Nix's default, which for the priority is 0.
 * `storeDir` is undefined when the cache does not tell. Undefined for a priority that is no integer, which would end a Nix client.
 */
export function parseCacheInfo(text: string): (Omit<CacheInfo, 'storeDir'> & { readonly storeDir: string | undefined }) | undefined {
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
