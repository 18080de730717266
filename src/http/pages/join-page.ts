/** The pages of `/join/<token>`: what an invitation will do, what it did, and that it can do nothing. */
import { formatTime } from '../../format.ts'
import type { Access } from '../auth/user.ts'
import type { Invitation } from '../team.ts'
import { type ClientFacts, ciSteps, netrc, nixConf, nixModule, relayModule } from './client-texts.ts'
import type { Contact } from './contact.ts'
import { type Html, html } from './html.ts'
import { codeBlock, facts, tabs } from './parts.ts'

const accessWords: Readonly<Record<Access, string>> = {
  pull: 'download',
  push: 'upload',
  admin: 'administer the cache',
}

export const joinTitle = 'You are invited'
export const joinedTitle = 'Your account is ready'
export const uselessTitle = 'This invitation cannot be used'

/** `link`: of this page, as the client sees it. */
export function renderJoinPage(invitation: Invitation, link: string, storeDir: string): Html {
  const { name, access, userExpires, expires, createdBy } = invitation
  return html`<div class="stack lead">
<h1>${joinTitle}</h1>
<p>This link makes an account for you at this cache for <code>${storeDir}</code>. It works once, so open it on a device on which you can copy the password.</p>
${facts([
  ['User name', name],
  ['You may', accessText(access)],
  ['Account expires', userExpires === undefined ? 'never' : dateText(userExpires)],
  ['Invited by', createdBy],
  ['Link expires', dateText(expires)],
])}
<form method="post"><p><button type="submit" class="button primary">Make my account</button></p></form>
<p>The next page shows your password and what to put where. To set up a machine with one command instead, run this there; it uses the link:</p>
${codeBlock('use-npx', 'With npm (Node 20 or newer)', `sudo npx nix-burrow use ${link}`)}
${codeBlock('use-file', 'With Node 22.16 or newer alone', `curl -fsS -o burrow.mjs ${link}/client.mjs\nsudo node burrow.mjs use ${link}`)}
<p class="muted small">Without <code>sudo</code> the command sets up your user only. With <code>--relay</code> it also runs a relay, which continues broken downloads.</p>
</div>`
}

export interface Joined extends ClientFacts {
  readonly access: readonly Access[]
  readonly expires: Date | undefined
}

/** Shown once. */
export function renderJoinedPage(user: Joined): Html {
  const { name, password, access, expires } = user
  return html`<div class="stack lead">
<h1>${joinedTitle}</h1>
<p><strong>The password is shown only now.</strong> Copy it before you leave this page. If it is lost, ask for a new one.</p>
${codeBlock('password', `Password of ${name}`, password)}
${facts([
  ['User name', name],
  ['You may', accessText(access)],
  ['Account expires', expires === undefined ? 'never' : dateText(expires)],
])}
<h2>Set up a machine</h2>
${tabs('system', 'System', [
  { label: 'Linux', body: linuxTab(user) },
  { label: 'NixOS', body: nixosTab(user) },
  { label: 'nix-darwin', body: darwinTab(user) },
  { label: 'CI', body: ciTab(user) },
])}
</div>`
}

/** The same for absent, used, revoked and expired ones. */
export function renderUselessPage(contact: Contact | undefined): Html {
  const whom =
    contact === undefined ? html`the person who sent it` : html`<a href="${contact.href}">${contact.label}</a>`
  return html`<div class="stack lead">
<h1>${uselessTitle}</h1>
<p>The link is incomplete, has expired, was revoked, or was used already: it works once. Ask ${whom} for a new one.</p>
</div>`
}

function linuxTab(user: Joined): Html {
  const command = `sudo npx nix-burrow use ${user.url} --user ${user.name}`
  return html`<p>With one command, which asks for the password:</p>
${codeBlock('linux-use', 'Command', command)}
<p>The same with a relay beside Nix, which continues broken downloads and keeps builds going while the cache is away:</p>
${codeBlock('linux-relay', 'Command with relay', `${command} --relay`)}
<p>Or by hand:</p>
${codeBlock('linux-conf', '/etc/nix/nix.conf', nixConf(user))}
${codeBlock('linux-netrc', '/etc/nix/netrc, mode 0600', netrc(user))}
${codeBlock('linux-restart', 'Afterwards', 'sudo systemctl restart nix-daemon')}`
}

function nixosTab(user: Joined): Html {
  return html`${codeBlock('nixos-module', 'configuration.nix', nixModule(user, true))}
${codeBlock('nixos-netrc', '/etc/nix/netrc, mode 0600', netrc(user))}
<p>With a relay beside Nix, use the module of Burrow's flake (<code>nixosModules.client</code>) instead of <code>nix.settings</code>:</p>
${codeBlock('nixos-relay', 'configuration.nix with relay', relayModule(user))}`
}

function darwinTab(user: Joined): Html {
  return html`${codeBlock('darwin-module', 'nix-darwin configuration', nixModule(user, true))}
${codeBlock('darwin-netrc', '/etc/nix/netrc, mode 0600', netrc(user))}
${codeBlock('darwin-restart', 'Without nix-darwin, after changing nix.conf', 'sudo launchctl kickstart -k system/org.nixos.nix-daemon')}
<p>With a relay beside Nix, use the module of Burrow's flake (<code>darwinModules.client</code>) instead of <code>nix.settings</code>:</p>
${codeBlock('darwin-relay', 'nix-darwin configuration with relay', relayModule(user))}`
}

function ciTab(user: Joined): Html {
  const push = user.access.includes('push') || user.access.includes('admin')
  return html`<p>Save the password as a secret named <code>BURROW_PASSWORD</code>.</p>
${codeBlock('ci-steps', 'Shell', ciSteps(user))}
${push && codeBlock('ci-push', 'Push what was built', `npx nix-burrow push --to ${user.url} --netrc-file /etc/nix/netrc ./result`)}`
}

function accessText(access: readonly Access[]): string {
  return access.map((right) => accessWords[right]).join(' and ')
}

/** `2027-01-31 14:05 UTC` */
function dateText(date: Date): string {
  return `${formatTime(date)} UTC`
}
