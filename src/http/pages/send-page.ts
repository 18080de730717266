/** Sends a page in its frame: what the reader sees around it depends on who asks, and under which name. */
import { publicOriginOf } from '../auth/client-address.ts'
import type { Particulars } from '../particulars.ts'
import type { Reply } from '../reply.ts'
import { type Frame, htmlType, pageHeaders, renderDocument } from './document.ts'
import type { Html } from './html.ts'
import { linksFor, type PageName } from './navigation.ts'

export interface Page {
  /** Also the text of `<h1>`, which the body has. */
  readonly title: string
  /** Undefined for pages below another, and for errors. */
  readonly current?: PageName | undefined
}

export type SiteParticulars = Pick<Particulars, 'contact' | 'version' | 'pages'>

export function frameOf(reply: Reply, { contact, version, pages }: SiteParticulars, page: Page): Frame {
  const reader = reply.identity
  return {
    ...page,
    links: linksFor(reader, pages),
    siteName: publicOriginOf(reply.request)?.hostname ?? 'Burrow',
    reader,
    contact,
    version: reader === undefined ? undefined : version,
  }
}

/** Sends a whole page with the status 200. `kind`: `missed` for a page that must not be kept by the browser. */
export function sendPage(
  reply: Reply,
  particulars: SiteParticulars,
  page: Page,
  body: Html,
  kind: 'found' | 'missed' = 'found',
): void {
  const text = renderDocument(frameOf(reply, particulars, page), body)
  reply.send(200, kind, ['Content-Type', htmlType, ...pageHeaders], text)
}
