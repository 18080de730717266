/** Request targets as they may be logged. */

const maxTargetLength = 512

/**
 * Queries (`?token=`), the tokens of invitations (`/join/<token>`) and the part before a host (`http://user:password@`) may contain secrets, so they are removed; only
 * `?json` is kept. Node's parser accepts printable ASCII only.
 */
export function loggableTarget(url: string): string {
  const [path = '', query] = url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').split(/[?#](.*)/s, 2)
  const named = invitationPath.test(decode(path)) ? '/join/…' : path
  const shown = query === undefined ? named : `${named}?${query === 'json' ? 'json' : '…'}`
  return shown.slice(0, maxTargetLength)
}

/** However it is written: a request that is refused for its form has a token too. */
const invitationPath = /^[/\\.]*join[/\\]/i

function decode(path: string): string {
  try {
    return path.includes('%') ? decodeURIComponent(path) : path
  } catch {
    return path.replaceAll(/%([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  }
}
