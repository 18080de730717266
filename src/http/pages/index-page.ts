/** The built-in page at `/`: what this is, and what to put into nix.conf and netrc. */
import { type Html, html } from './html.ts'
import { codeBlock } from './parts.ts'

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

export function renderIndexPage({ storeDir, publicKeys, isPublic, origin = unknownOrigin }: IndexPageFacts): Html {
  const keys =
    publicKeys.length === 0
      ? '# This cache does not sign anything itself.'
      : `extra-trusted-public-keys = ${publicKeys.join(' ')}`
  return html`<div class="stack lead">
<h1>Nix binary cache</h1>
<p>This is a binary cache for <code>${storeDir}</code>. Add these lines to <code>nix.conf</code>:</p>
${codeBlock('nix-conf', '/etc/nix/nix.conf', `extra-substituters = ${origin.url}\n${keys}`)}${isPublic ? undefined : loginHelp(origin.hostname)}
</div>`
}

function loginHelp(hostname: string): Html {
  return html`
<p>Add your name and password to the netrc file that Nix reads (mode 0600):</p>
${codeBlock('netrc', '/etc/nix/netrc', `machine ${hostname} login NAME password PASSWORD`)}`
}
