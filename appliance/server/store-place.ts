/** Where the Nix store is, as the rules for published paths look at it. */
import type { StorePlace } from '../../src/index.ts'
import type { StoreConfig } from '../config/config.ts'

export function toPlace({ dir, realDir, database }: StoreConfig): StorePlace {
  return { storeDir: dir, realStoreDir: realDir, database }
}
