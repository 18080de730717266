/**
 * Burrow's entry in a netrc file: a comment that marks it, followed by the entry, at the beginning of the file because
 * the first entry for a host wins. The rest of the file is not changed. The comment contains no keyword of the format,
 * because old versions of curl do not support comments.
 */
import { quoteToken } from '../../../src/index.ts'
import { findLogin, type NetrcLogin } from '../netrc.ts'

export function writeEntry(text: string, host: string, { login, password }: NetrcLogin): string {
  const found = findLogin(text, host)
  if (found?.login === login && found.password === password) return text
  return [
    markOf(host),
    `machine ${host} login ${quoteToken(login)} password ${quoteToken(password)}`,
    removeEntry(text, host),
  ].join('\n')
}

/** Without the mark and the entry below it. */
export function removeEntry(text: string, host: string): string {
  const lines = text.split('\n')
  const at = lines.indexOf(markOf(host))
  return at < 0 ? text : [...lines.slice(0, at), ...lines.slice(at + 2)].join('\n')
}

const markOf = (host: string) => `# burrow use ${host}`
