const sideFile =
  /^(?:log|realisations|build-trace-v2|debuginfo)\/[0-9A-Za-z+\-._?=!:]{1,300}(?:\/[0-9A-Za-z+\-._?=!:]{1,300})?$/

/**
 * The path of a build log, a realisation or debug information. A path with dot segments is none: a URL resolves them, so
 * that `log/../v1/users/x` would lead to another place than its beginning says, with the relay's login.
 */
export function isSideFile(path: string): boolean {
  return sideFile.test(path) && !path.split('/').some((segment) => segment === '.' || segment === '..')
}
