/** `/`: the page the operator chose, or a plain one that says what this is and how to use it. */
import type { Router } from 'express'
import { publicOriginOf } from '../auth/client-address.ts'
import type { IndexPage, Origin } from '../origin.ts'
import type { Particulars } from '../particulars.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

/** The page may not fetch, run or embed anything, nor be embedded. */
const pageHeaders = [
  'X-Content-Type-Options',
  'nosniff',
  'Content-Security-Policy',
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
  'Referrer-Policy',
  'no-referrer',
]

export function indexRoute({ stores }: Origin, particulars: () => Particulars): Router {
  return createRouter().get('/', (request) => {
    const reply = replyOf(request)
    reply.route = 'index'
    const { indexPage, publicKeys, isPublic } = particulars()
    if (indexPage === false) return reply.refuse(404)
    const page =
      indexPage ?? builtInPage({ storeDir: stores.storeDir, publicKeys, isPublic, here: publicOriginOf(request) })
    reply.send(200, 'found', ['Content-Type', page.contentType, ...pageHeaders], page.body)
  })
}

const unknownOrigin = { url: 'https://this.address', hostname: 'this.address' }

interface PageFacts {
  readonly storeDir: string
  readonly publicKeys: readonly string[]
  readonly isPublic: boolean
  readonly here: { readonly url: string; readonly hostname: string } | undefined
}

function builtInPage({ storeDir, publicKeys, isPublic, here = unknownOrigin }: PageFacts): IndexPage {
  const keys =
    publicKeys.length === 0
      ? '# This cache signs nothing itself.'
      : `extra-trusted-public-keys = ${publicKeys.join(' ')}`
  const login = `
<p>and your name and password into the netrc file which Nix reads (<code>/etc/nix/netrc</code>, mode 0600):</p>
<pre>machine ${escapeHtml(here.hostname)} login NAME password PASSWORD</pre>`
  const body = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Nix binary cache</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; color: #222; background: #fff }
  pre { background: #f2f2f0; padding: .7rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; border-radius: 4px }
  @media (prefers-color-scheme: dark) { body { color: #ddd; background: #191919 } pre { background: #262626 } }
</style>
<h1>Nix binary cache</h1>
<p>This is a binary cache for <code>${escapeHtml(storeDir)}</code>, served by Burrow. Put these lines into <code>nix.conf</code>:</p>
<pre>extra-substituters = ${escapeHtml(here.url)}
${escapeHtml(keys)}</pre>${isPublic ? '' : login}
</html>
`
  return { contentType: 'text/html; charset=utf-8', body }
}

function escapeHtml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
  return text.replace(/[&<>"']/g, (character) => entities[character]!)
}
