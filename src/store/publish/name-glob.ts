/**
 * Patterns for names of store paths (`db-password-1.0`, without the hash part): `*` stands for any characters, `?` for
 * exactly one, all others for themselves; upper and lower case differ. Matched in at most the product of both lengths,
 * whatever the pattern: there is no regular expression.
 */

/** Names have at most 211 characters. */
const maxLength = 211
const allowed = /^[0-9A-Za-z+\-._?=*]+$/
const star = 42
const question = 63

/** Why it can match no name; undefined for a good one. */
export function findGlobProblem(glob: string): string | undefined {
  if (glob === '') return 'is empty'
  if (glob.replaceAll('*', '').length > maxLength)
    return `is longer than a name, which has at most ${maxLength} characters`
  if (/^[0-9a-df-np-sv-z]{32}-/.test(glob) || glob.includes('/'))
    return 'contains a hash part or a directory, but is compared with the name alone'
  if (!allowed.test(glob)) return 'contains a character that names of store paths cannot have'
  return undefined
}

/**
 * The first of the globs that matches, or undefined. A glob that matches `app` also denies `app.drv`, whose file
 * contains the instructions, and for small texts the text itself, of `app`.
 */
export function findMatchingGlob(globs: readonly string[], name: string): string | undefined {
  const ofDerivation = name.endsWith('.drv') ? name.slice(0, -'.drv'.length) : undefined
  return globs.find(
    (glob) => matchesGlob(glob, name) || (ofDerivation !== undefined && matchesGlob(glob, ofDerivation)),
  )
}

/** After a mismatch the last `*` takes one more character; earlier ones never need to change. */
export function matchesGlob(glob: string, name: string): boolean {
  let atGlob = 0
  let atName = 0
  let starAt = -1
  let nameAtStar = 0
  while (atName < name.length) {
    const code = atGlob < glob.length ? glob.charCodeAt(atGlob) : -1
    if (code === star) {
      starAt = atGlob++
      nameAtStar = atName
    } else if (code === question || code === name.charCodeAt(atName)) {
      atGlob++
      atName++
    } else if (starAt >= 0) {
      atGlob = starAt + 1
      atName = ++nameAtStar
    } else return false
  }
  while (atGlob < glob.length && glob.charCodeAt(atGlob) === star) atGlob++
  return atGlob === glob.length
}
