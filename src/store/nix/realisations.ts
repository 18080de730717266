/**
 * Realisations: which store path the output of a content-addressed derivation came to be. Kept in tables of their own,
 * which exist only where the `ca-derivations` feature was ever used.
 *
 *   sha256:<64 hex>!out -> { dependentRealisations: { "sha256:…!out": "<base name>" }, id, outPath: "<base name>",
 * signatures: [] }
 *
 * Source: ca-specific-schema.sql of Nix; the JSON of `/realisations/<id>.doi`.
 */
import { parseRealisationId } from '../../nix/realisation.ts'
import { baseNameOf } from '../../nix/store-path.ts'
import type { Realisation } from '../store.ts'
import type { DatabaseConnection } from './database-connection.ts'
import { toSignatures, toStorePath } from './database-row.ts'

const tablesQuery = `select name from sqlite_schema where type = 'table' and name in ('Realisations', 'RealisationsRefs')`
/** One row for each dependency, or a single one with nulls; one statement, hence one transaction. */
const withDependencies = `
  select r.id, p.path, r.signatures, d.drvPath || '!' || d.outputName, q.path
  from Realisations r join ValidPaths p on p.id = r.outputPath
    left join RealisationsRefs f on f.referrer = r.id
    left join Realisations d on d.id = f.realisationReference
    left join ValidPaths q on q.id = d.outputPath
  where r.drvPath = ? and r.outputName = ? order by r.id, d.drvPath, d.outputName`
const withoutDependencies = `
  select r.id, p.path, r.signatures, null, null from Realisations r join ValidPaths p on p.id = r.outputPath
  where r.drvPath = ? and r.outputName = ? order by r.id`

/** Undefined as well for an id of another form and for rows that Nix cannot have written. */
export function findRealisation(connection: DatabaseConnection, id: string, storeDir: string): Realisation | undefined {
  const parsed = parseRealisationId(id)
  if (!parsed) return undefined
  const tables = connection.all(tablesQuery).map(([name]) => name)
  if (!tables.includes('Realisations')) return undefined
  const rows = connection.all(
    tables.includes('RealisationsRefs') ? withDependencies : withoutDependencies,
    parsed.drvHash,
    parsed.outputName,
  )
  const [row, path, sigs] = rows[0] ?? []
  const outPath = toStorePath(path, storeDir)
  if (!outPath) return undefined
  const dependentRealisations: Record<string, string> = {}
  for (const [owner, , , dependency, dependencyPath] of rows) {
    if (owner !== row || dependency === null) continue
    const dependencyOutPath = toStorePath(dependencyPath, storeDir)
    // Half a list of dependencies would be a wrong one.
    if (typeof dependency !== 'string' || !parseRealisationId(dependency) || !dependencyOutPath) return undefined
    dependentRealisations[dependency] = baseNameOf(dependencyOutPath)
  }
  return { dependentRealisations, id, outPath: baseNameOf(outPath), signatures: toSignatures(sigs) }
}
