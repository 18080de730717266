/** The page that changes one user. */
import type { TeamUser } from '../../team.ts'
import { type Html, html } from '../html.ts'
import { facts } from '../parts.ts'
import { ago } from '../path-list.ts'
import { accessFields, accessPills } from './users-page.ts'

export function renderChangePage(
  { name, access, expires, added, addedBy, activity }: TeamUser,
  token: string,
  now: Date,
): Html {
  const form = (
    action: string,
    fields: Html,
    label: string,
    kind = '',
  ) => html`<form method="post" action="/users" class="stack">
<input type="hidden" name="token" value="${token}"><input type="hidden" name="action" value="${action}"><input type="hidden" name="name" value="${name}">
${fields}
<p><button class="button ${kind}">${label}</button></p>
</form>
`
  return html`<div class="sections">
<div class="stack">
<p><a href="/users">Users</a></p>
<h1>${name}</h1>
${facts([
  ['May', accessPills(access)],
  ['Expires', expires === undefined ? 'never' : ago(expires, now)],
  ['Added', added && [ago(added, now), addedBy !== undefined && ` by ${addedBy}`]],
  [
    'Last seen',
    activity && [ago(activity.lastSeen, now), activity.address !== undefined && ` from ${activity.address}`],
  ],
])}
</div>
<section class="stack" aria-labelledby="access"><h2 id="access">Access</h2>
${form('access', accessFields(access), 'Change the access')}</section>
<section class="stack" aria-labelledby="expiry"><h2 id="expiry">Expiry</h2>
${form(
  'expiry',
  html`<div class="fields"><label><span>Last day, in UTC <span class="hint">(empty: never)</span></span> <input type="date" name="expires" value="${expires?.toISOString().slice(0, 10) ?? ''}"></label></div>`,
  'Change the expiry',
)}</section>
<section class="stack" aria-labelledby="password"><h2 id="password">Password</h2>
<p class="muted">The old one stops working at once. The new one is made here, and shown once.</p>
${form('password', html``, 'Make a new password')}</section>
<section class="stack" aria-labelledby="remove"><h2 id="remove">Removal</h2>
<p class="muted">The user is refused from the next request on.</p>
${form('remove', html`<p><label><input type="checkbox" name="sure" value="yes" required> Remove ${name}</label></p>`, 'Remove the user', 'danger')}</section>
</div>`
}
