/** Whether a database is one of a Nix store that this version of Burrow understands. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** It is a database, but none this version of Burrow understands. The message is the remedy's. */
export class UnknownSchema extends Error {
  override readonly name = 'UnknownSchema'
}

const knownSchema = '10'
const neededColumns: Readonly<Record<string, readonly string[]>> = {
  ValidPaths: ['id', 'path', 'hash', 'registrationTime', 'deriver', 'narSize', 'ultimate', 'sigs', 'ca'],
  Refs: ['referrer', 'reference'],
}

/** `query` returns rows as arrays. @throws {UnknownSchema} */
export function requireKnownSchema(file: string, query: (sql: string) => readonly (readonly unknown[])[]): void {
  const schemaFile = join(dirname(file), 'schema')
  const schema = existsSync(schemaFile) ? tryToRead(schemaFile)?.trim() : undefined
  if (schema !== undefined && schema !== knownSchema)
    throw new UnknownSchema(
      `its schema is version "${schema}", wanted "${knownSchema}": use a version of Nix and of Burrow that fit each other`,
    )
  for (const [table, needed] of Object.entries(neededColumns)) {
    const columns = new Set(query(`select name from pragma_table_info('${table}')`).map((row) => row[0]))
    const missing = needed.filter((name) => !columns.has(name))
    if (columns.size === 0)
      throw new UnknownSchema(
        `it has no table "${table}": it is not the database of a Nix store, or none that Nix has finished making`,
      )
    if (missing.length > 0)
      throw new UnknownSchema(
        `its table "${table}" lacks "${missing.join('", "')}": let a current Nix upgrade it (nix-store --verify)`,
      )
  }
}

function tryToRead(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // The columns are checked all the same.
    return undefined
  }
}
