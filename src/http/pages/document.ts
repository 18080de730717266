/** What all pages share: the frame of the document, and the headers that protect it. */
import type { RawHeaders } from '../raw-headers.ts'
import { type Html, html } from './html.ts'

/** A page cannot load, run or embed anything, and cannot be embedded. */
export const pageHeaders: RawHeaders = [
  'X-Content-Type-Options',
  'nosniff',
  'Content-Security-Policy',
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
  'Referrer-Policy',
  'no-referrer',
]

export const htmlType = 'text/html; charset=utf-8'

export function renderDocument(title: string, body: Html): string {
  return html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; color: #222; background: #fff }
  pre { background: #f2f2f0; padding: .7rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; border-radius: 4px }
  @media (prefers-color-scheme: dark) { body { color: #ddd; background: #191919 } pre { background: #262626 } }
</style>
${body}
</html>
`.toString()
}
