/** The built-in page at `/`: what this is, and what to put into nix.conf and netrc. */
import { renderDocument } from './document.ts'
import { type Html, html } from './html.ts'

export interface IndexPageFacts {
  readonly storeDir: string
  /** `name:base64`; empty for a cache that signs nothing itself. */
  readonly publicKeys: readonly string[]
  /** No login is needed. */
  readonly isPublic: boolean
  /** As the client sees it: text from a request. Undefined when it is not known. */
  readonly origin: { readonly url: string; readonly hostname: string } | undefined
}

const unknownOrigin = { url: 'https://this.address', hostname: 'this.address' }

export function renderIndexPage({ storeDir, publicKeys, isPublic, origin = unknownOrigin }: IndexPageFacts): string {
  const keys =
    publicKeys.length === 0
      ? '# This cache does not sign anything itself.'
      : `extra-trusted-public-keys = ${publicKeys.join(' ')}`
  return renderDocument(
    'Nix binary cache',
    html`<h1>Nix binary cache</h1>
<p>This is a binary cache for <code>${storeDir}</code>, served by Burrow. Add these lines to <code>nix.conf</code>:</p>
<pre>extra-substituters = ${origin.url}
${keys}</pre>${isPublic ? undefined : loginHelp(origin.hostname)}`,
  )
}

function loginHelp(hostname: string): Html {
  return html`
<p>Add your name and password to the netrc file that Nix reads (<code>/etc/nix/netrc</code>, mode 0600):</p>
<pre>machine ${hostname} login NAME password PASSWORD</pre>`
}
