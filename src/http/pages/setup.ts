/** What a client needs, ready to be copied: one tab for each kind of machine. The password is not known here. */
import { netrc, nixConf, nixModule } from './client-texts.ts'
import { type Html, html } from './html.ts'
import { codeBlock, type Tab, tabs } from './parts.ts'

export interface SetupFacts {
  readonly storeDir: string
  /** `name:base64`; empty for a cache that signs nothing itself. */
  readonly publicKeys: readonly string[]
  /** As the client sees it: text from a request. */
  readonly origin: { readonly url: string; readonly hostname: string }
  /** Undefined on a public cache. */
  readonly login: { readonly name: string } | undefined
  readonly mayPush: boolean
}

export function setupTabs(facts: SetupFacts): Html {
  const all: Tab[] = [
    { label: 'One command', body: oneCommand(facts) },
    { label: 'nix.conf', body: byHand(facts) },
    { label: 'NixOS', body: nixos(facts) },
    ...(facts.mayPush ? [{ label: 'Push', body: push(facts) }] : []),
  ]
  return tabs('setup', 'Set-up for', all)
}

function oneCommand({ origin, login }: SetupFacts): Html {
  const user = login === undefined ? '' : ` --user ${shellQuote(login.name)}`
  return html`<p>On Linux with systemd, this sets up a relay beside Nix. It resumes downloads, and builds go on when the cache cannot be reached.${login !== undefined && ' It asks for your password.'}</p>
${codeBlock('setup-relay', 'Linux, as root: with a relay', `sudo npx nix-burrow use ${origin.url}${user} --relay`)}
<p>On macOS, or for Nix alone:</p>
${codeBlock('setup-use', `Linux or macOS: ${login === undefined ? 'nix.conf' : 'nix.conf and netrc'} only`, `sudo npx nix-burrow use ${origin.url}${user}`)}`
}

function byHand(facts: SetupFacts): Html {
  const { login, storeDir } = facts
  return html`${codeBlock('nix-conf', '/etc/nix/nix.conf', nixConf(toClient(facts)))}
${
  login !== undefined &&
  html`${codeBlock('netrc', '/etc/nix/netrc, mode 0600, owned by root', netrc(toClient(facts)))}
<p class="hint">Replace <code>PASSWORD</code> by your password.</p>`
}
<p>Then restart the daemon: <code>sudo systemctl restart nix-daemon</code></p>
${storeDir !== '/nix/store' && html`<p>This cache serves <code>${storeDir}</code>: only machines with the same store directory can use it.</p>`}`
}

function nixos(facts: SetupFacts): Html {
  return html`${codeBlock('setup-nixos', 'configuration.nix', nixModule(toClient(facts), facts.login !== undefined))}
${
  facts.login !== undefined &&
  html`<p>Write the netrc file by hand or with your secrets tool, never with Nix: every user can read the Nix store.</p>
${codeBlock('setup-nixos-netrc', '/etc/nix/netrc, mode 0600, owned by root', netrc(toClient(facts)))}`
}`
}

function push({ origin }: SetupFacts): Html {
  return html`<p>With your netrc entry in <code>~/.netrc</code> (mode 0600). It sends only what the cache lacks, and continues where it was interrupted.</p>
${codeBlock('setup-push', 'Push a result and its closure', `npx nix-burrow push --to ${origin.url} ./result`)}
${codeBlock('setup-copy', 'With Nix alone, for paths below 100 MB', `nix copy --netrc-file ~/.netrc --to '${origin.url}?compression=zstd' ./result`)}`
}

const toClient = ({ origin, publicKeys, login }: SetupFacts) => ({
  url: origin.url,
  publicKeys,
  name: login?.name ?? '',
  password: 'PASSWORD',
})

function shellQuote(text: string): string {
  return /^[A-Za-z0-9@%+=:,./_-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
