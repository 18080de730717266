/**
 * Errors as pages, for people with browsers: what happened, what to do, whom to ask. Nix and other programs get a line of
 * plain text (reply.ts). A page contains no more than that line: nothing about what is in the cache, and no cause.
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http'

import type { RenderedError, Reply } from '../reply.ts'
import type { Contact } from './contact.ts'
import { htmlType, pageHeaders, renderDocument } from './document.ts'
import { type Html, html } from './html.ts'
import { frameOf, type SiteParticulars } from './send-page.ts'

/**
 * Whether a person sees the reply: a browser opens a page. Browsers send `Sec-Fetch-Dest` over HTTPS and to loopback;
 * otherwise they are recognised by what they accept. Nix accepts everything and names nothing.
 */
export function isForPerson({ headers }: IncomingMessage): boolean {
  const destination = headers['sec-fetch-dest']
  return destination === undefined ? /\btext\/html\b/.test(headers.accept ?? '') : destination === 'document'
}

/** Renders what `refuse` answers; undefined for programs. */
export function createErrorRenderer(particulars: () => SiteParticulars) {
  return (reply: Reply, status: number, text: string): RenderedError | undefined => {
    if (!isForPerson(reply.request)) return undefined
    const site = particulars()
    const { title, advice } = describe(status, text, site.contact)
    const body = html`<div class="stack lead">
<h1>${title}</h1>
<p>${advice}</p>
<p class="muted small">${status} ${STATUS_CODES[status]}</p>
</div>`
    return {
      headers: ['Content-Type', htmlType, ...pageHeaders],
      body: renderDocument(frameOf(reply, site, { title }), body),
    }
  }
}

interface Description {
  readonly title: string
  readonly advice: Html
}

/** `text`: why it was refused, if it is not the status phrase. */
function describe(status: number, text: string, contact: Contact | undefined): Description {
  const ask = askSentence(contact)
  switch (status) {
    case 401:
      return {
        title: 'Log in to use this cache',
        advice: html`Reload this page, and enter the user name and the password that you were given. ${ask('If you have none, ask')}`,
      }
    case 403:
      return {
        title: 'You may not open this page',
        advice: html`${text === STATUS_CODES[403] ? 'Your user lacks the access that it needs' : text}. ${ask('For more access, ask')}`,
      }
    case 404:
      return {
        title: 'There is nothing here',
        advice: html`This cache has no such page or store path, or does not have it any more. ${ask('If you expected something here, ask')}`,
      }
    case 429:
      return {
        title: 'Too many requests',
        advice: html`Wait a few seconds, and reload this page. After several wrong passwords, each further login takes longer. ${ask('If this does not stop, ask')}`,
      }
    case 503:
      return {
        title: 'The cache cannot answer at the moment',
        advice: html`This usually passes. Wait a few seconds, and reload this page. ${ask('If this does not stop, ask')}`,
      }
    case 500:
      return {
        title: 'Something went wrong',
        advice: html`This is a fault of the cache, and it was logged. ${ask('If it happens again, ask')}`,
      }
    default:
      return { title: STATUS_CODES[status] ?? 'Error', advice: html`${text}. ${ask('For help, ask')}` }
  }
}

function askSentence(contact: Contact | undefined): (beginning: string) => Html {
  return (beginning) =>
    contact === undefined
      ? html`${beginning} the person who runs this cache.`
      : html`${beginning} <a href="${contact.href}">${contact.label}</a>.`
}
