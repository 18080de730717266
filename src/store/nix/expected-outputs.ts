/**
 * Outputs that derivations in the store would have, built or not: the only place that knows the name of a path that is
 * not here. Source: table `DerivationOutputs` of Nix's schema.sql, which has an index on `path`.
 */
import type { DatabaseConnection } from './database-connection.ts'
import { toStorePath } from './database-row.ts'

// "." follows "-" in ASCII: the range contains what begins with the hash part and a dash.
const outputQuery = 'select path from DerivationOutputs where path >= ? and path < ? limit 1'

/** Absolute; undefined if no valid derivation has such an output. */
export function findExpectedOutput(
  connection: DatabaseConnection,
  hashPart: string,
  storeDir: string,
): string | undefined {
  const start = `${storeDir}/${hashPart}`
  const [[path] = []] = connection.all(outputQuery, `${start}-`, `${start}.`)
  return toStorePath(path, storeDir)
}
