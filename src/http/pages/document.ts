/**
 * What all pages share: the document with its navigation, and the headers that protect it. A page is rendered in one
 * piece by `renderDocument`; a page whose end takes time sends `renderHead` first and `documentEnd` last.
 */
import type { Identity } from '../auth/user.ts'
import { discreet, type RawHeaders } from '../raw-headers.ts'
import { script, stylesheet } from './assets.ts'
import type { Contact } from './contact.ts'
import { type Html, html } from './html.ts'
import type { NavigationLink, PageName } from './navigation.ts'

/** A page loads and sends nothing but from and to this cache, runs no script of its own text, and cannot be embedded. */
export const pageHeaders: RawHeaders = [
  ...discreet,
  'Content-Security-Policy',
  [
    "default-src 'none'",
    "style-src 'self'",
    "script-src 'self'",
    "connect-src 'self'",
    'img-src data:',
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; '),
]

/** For the operator's own page: it may have styles of its own, but no script. */
export const ownPageHeaders: RawHeaders = [
  ...discreet,
  'Content-Security-Policy',
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
]

export const htmlType = 'text/html; charset=utf-8'

/** What surrounds the contents of a page. */
export interface Frame {
  readonly title: string
  /** The page that the navigation marks. */
  readonly current?: PageName | undefined
  readonly links: readonly NavigationLink[]
  /** Name of this cache: its host, as the client wrote it. */
  readonly siteName: string
  /** Undefined for people who are not logged in. */
  readonly reader: Identity | undefined
  readonly contact: Contact | undefined
  /** Of this program; undefined for people who are not logged in. */
  readonly version: string | undefined
}

export function renderDocument(frame: Frame, body: Html): string {
  return `${renderHead(frame)}${body}${renderEnd(frame)}`
}

/** Up to and including the start tag of `<main>`. */
export function renderHead({ title, current, links, siteName, reader }: Frame): string {
  const home = links[0]?.path ?? '/'
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} – ${siteName}</title>
<link rel="icon" href="${icon}">
<link rel="stylesheet" href="${stylesheet.path}">
<script src="${script.path}" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header class="site">
<div class="bar">
<a class="brand" href="${home}">${mark}<span>${siteName}</span></a>
${links.length > 0 && navigation(links, current)}
${reader?.name !== undefined && html`<p class="reader"><span class="visually-hidden">Logged in as </span>${reader.name}</p>`}
</div>
</header>
<main id="main" tabindex="-1">
`.toString()
}

/** From the end tag of `<main>` on. */
export function renderEnd({ contact, version }: Frame): string {
  return html`
</main>
<footer class="foot">
${contact !== undefined && html`<p>Questions: <a href="${contact.href}">${contact.label}</a></p>`}
<p>Nix binary cache, served by Burrow${version !== undefined && ` ${version}`}</p>
</footer>
<p class="visually-hidden" role="status" id="announcement"></p>
</body>
</html>
`.toString()
}

function navigation(links: readonly NavigationLink[], current: PageName | undefined): Html {
  return html`<nav aria-label="Pages"><ul>
${links.map(
  ({ name, label, path }) =>
    html`<li><a href="${path}"${name === current && html` aria-current="page"`}>${label}</a></li>\n`,
)}</ul></nav>`
}

/** A mound with an entrance. */
const outline = 'M1 20a11 11 0 0 1 22 0v1h-6v-2a5 5 0 0 0-10 0v2H1z'
const mark = html`<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${outline}"/></svg>`
const icon = `data:image/svg+xml,${encodeURIComponent(
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><path fill="#2f9a78" d="${outline}"/></svg>`,
)}`
