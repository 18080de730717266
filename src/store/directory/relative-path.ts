/** The `URL` of a narinfo as a path below the cache's own folder. */

/**
 * Undefined for all that leads elsewhere: another host, an absolute path, `..`, a query. Percent-encoding means nothing
 * in a folder, as in Nix's own `file://` caches.
 */
export function parseRelativePath(url: string): string | undefined {
  if (/[\0?#\\]/.test(url) || url.startsWith('/') || /^[a-z][a-z0-9+.-]*:/i.test(url)) return undefined
  const parts = url.split('/')
  return parts.every((part) => part !== '' && part !== '.' && part !== '..') ? url : undefined
}
