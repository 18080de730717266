/** Request targets as they may be logged. */

const maxTargetLength = 512

/**
 * Queries (`?token=`) and the part before a host (`http://user:password@`) may contain secrets, so they are removed; only
 * `?json` is kept. Node's parser accepts printable ASCII only.
 */
export function loggableTarget(url: string): string {
  const [path = '', query] = url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').split(/[?#](.*)/s, 2)
  const shown = query === undefined ? path : `${path}?${query === 'json' ? 'json' : '…'}`
  return shown.slice(0, maxTargetLength)
}
