/** Whom users can ask: a mail address or a web page. Shown on pages and in errors, also to people who are not logged in. */

export interface Contact {
  /** As configured. */
  readonly label: string
  /** `mailto:…` or `https://…`. */
  readonly href: string
}

const mailAddress = /^[\p{L}\p{N}.!#$%&'*+/=?^_`{|}~-]{1,64}@[\p{L}\p{N}.-]{1,250}$/u

/** Undefined if it is neither a mail address nor an HTTP URL without a user name. */
export function parseContact(text: string): Contact | undefined {
  if (mailAddress.test(text))
    return { label: text, href: `mailto:${encodeURI(text).replaceAll(/[?&#]/g, encodeURIComponent)}` }
  if (!/^https?:\/\//i.test(text) || /[\s\p{C}]/u.test(text) || !URL.canParse(text)) return undefined
  const { href, username, password } = new URL(text)
  return username === '' && password === '' ? { label: text, href } : undefined
}
