/**
 * netrc files as libcurl reads them: hosts without ports, the first entry that matches wins, `default` matches every
 * host.
 *
 *     machine cache.example.org login ben password "s p a c e"
 *
 * Source: curl, "netrc" in its manual (quoted tokens since 7.84).
 */

export interface NetrcLogin {
  readonly login: string
  readonly password: string
}

/** `undefined` if no entry for this host has both a login and a password. */
export function findLogin(text: string, hostname: string): NetrcLogin | undefined {
  const tokens = tokenize(text)
  let isWanted = false
  let login: string | undefined
  let password: string | undefined
  for (let at = 0; at < tokens.length; at++) {
    switch (tokens[at]) {
      case 'machine':
      case 'default': {
        if (isWanted && login !== undefined && password !== undefined) return { login, password }
        isWanted = tokens[at] === 'default' || tokens[++at]?.toLowerCase() === hostname.toLowerCase()
        login = password = undefined
        break
      }
      case 'login':
        login = tokens[++at]
        break
      case 'password':
        password = tokens[++at]
        break
      case 'account':
        at++
        break
    }
  }
  return isWanted && login !== undefined && password !== undefined ? { login, password } : undefined
}

/** Words and quoted words, without comments and the bodies of `macdef`. */
function tokenize(text: string): string[] {
  const tokens: string[] = []
  let isMacro = false
  for (const line of text.split('\n')) {
    if (isMacro) {
      isMacro = line.trim() !== ''
      continue
    }
    for (const [word, quoted] of line.matchAll(/"((?:[^"\\]|\\.)*)"|\S+/g)) {
      if (quoted === undefined && word.startsWith('#')) break
      if (word === 'macdef') isMacro = true
      if (isMacro) break
      tokens.push(
        quoted === undefined
          ? word
          : quoted.replaceAll(/\\(.)/g, (_all, character: string) => escapes[character] ?? character),
      )
    }
  }
  return tokens
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }
