/**
 * `log/../v1/users/x`: a URL resolves such segments, so that the path would lead to another place than its beginning
 * says, with the relay's login.
 */
export function hasDotSegment(path: string): boolean {
  return path.split('/').some((segment) => segment === '.' || segment === '..')
}
