/**
 * Where a program is on PATH. Relative and empty entries are ignored: which program they mean depends on the working
 * directory.
 */
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, isAbsolute, join } from 'node:path'

/** Every path at which the program may be, in the order of the search, whether there is a file or not. */
export function listCandidates(name: string, searchPath = ''): string[] {
  const dirs = searchPath.split(delimiter).filter(isAbsolute)
  return [...new Set(dirs.map((dir) => join(dir, name)))]
}

/** The first that is a regular file and executable for this user. */
export function findOnPath(name: string, searchPath: string | undefined): string | undefined {
  return listCandidates(name, searchPath).find(isExecutableFile)
}

export function isExecutableFile(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}
