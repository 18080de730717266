/** The page of users and invitations, for administrators. */
import { formatBytes, formatCount } from '../../../format.ts'
import { type Access, accessKinds } from '../../auth/user.ts'
import type { Invitation, TeamUser, UserSource } from '../../team.ts'
import { type Html, type HtmlValue, html } from '../html.ts'
import { emptyState, pill, table } from '../parts.ts'
import { ago } from '../path-list.ts'
import { type Outcome, renderOutcome } from './outcome.ts'

export interface UsersFacts {
  readonly users: readonly TeamUser[]
  readonly invitations: readonly Invitation[]
  /** Why nothing can be changed; undefined if it can. */
  readonly impediment: string | undefined
  /** Of the forms. */
  readonly token: string
  /** What the last form did. */
  readonly outcome: Outcome | undefined
  readonly now: Date
}

/** More are only counted: the page stays light. */
const maxShown = 100

const sources: Readonly<Record<UserSource, string>> = {
  config: 'the config file',
  generated: 'the first start',
  added: 'an administrator',
  invited: 'an invitation',
}

export function renderUsersPage(facts: UsersFacts): Html {
  const { users, impediment, outcome, now } = facts
  return html`<div class="sections">
<div class="stack">
<h1>Users</h1>
${outcome !== undefined && renderOutcome(outcome)}
${impediment !== undefined && html`<p class="note-box warn">${impediment}.</p>`}
${userTable(users, now)}
</div>
${impediment === undefined && inviteForm(facts.token)}
${invitationTable(facts)}
</div>`
}

function userTable(users: readonly TeamUser[], now: Date): Html {
  const shown = users.slice(0, maxShown)
  return html`${table(
    'Users',
    [
      { label: 'Name' },
      { label: 'May' },
      { label: 'Expires' },
      { label: 'Last seen' },
      { label: 'Received', isNumber: true },
      { label: 'Made by' },
      { label: 'Change' },
    ],
    shown.map((user) => userRow(user, now)),
  )}${users.length > shown.length && html`<p class="muted">and ${formatCount(users.length - shown.length)} more: see <code>burrow user list</code></p>`}`
}

function userRow(
  { name, access, expires, isExpired, activity, source, isChangeable }: TeamUser,
  now: Date,
): HtmlValue[] {
  return [
    name,
    accessPills(access),
    isExpired ? [pill('expired', 'bad'), ' ', expires && ago(expires, now)] : expires ? ago(expires, now) : 'never',
    activity === undefined ? html`<span class="muted">not yet</span>` : ago(activity.lastSeen, now),
    activity === undefined ? '' : formatBytes(activity.sentBytes),
    sources[source],
    isChangeable
      ? html`<a href="/users/change?${new URLSearchParams({ name }).toString()}">Change<span class="visually-hidden"> ${name}</span></a>`
      : html`<span class="muted">in the config</span>`,
  ]
}

export function accessPills(access: readonly Access[]): HtmlValue {
  return access.length === 0 ? pill('nothing', 'warn') : access.map((one) => [pill(one), ' '])
}

const validities = [
  ['1h', '1 hour'],
  ['48h', '48 hours'],
  ['7d', '7 days'],
] as const

function inviteForm(token: string): Html {
  return html`<section class="stack" aria-labelledby="invite">
<h2 id="invite">Invite someone</h2>
<p class="lead muted">You get a link that works once. The person who uses it becomes this user, and sees the password and how to set up a machine.</p>
<form method="post" action="/users" class="stack">
<input type="hidden" name="token" value="${token}"><input type="hidden" name="action" value="invite">
<div class="fields">
<label>Name <input name="name" required maxlength="64" autocomplete="off" autocapitalize="off" spellcheck="false"></label>
${accessFields(['pull'])}
<label><span>Account expires <span class="hint">(empty: never)</span></span> <input type="date" name="expires"></label>
<label>Link valid for <select name="valid">${validities.map(([value, label]) => html`<option value="${value}"${value === '48h' && html` selected`}>${label}</option>`)}</select></label>
</div>
<p><button class="button primary">Make the link</button></p>
</form>
</section>
`
}

const accessWords: Readonly<Record<Access, string>> = { pull: 'download', push: 'upload', admin: 'administer' }

export function accessFields(chosen: readonly Access[]): Html {
  return html`<fieldset class="choices"><legend>May</legend>
${accessKinds.map(
  (one) =>
    html`<label><input type="checkbox" name="access" value="${one}"${chosen.includes(one) && html` checked`}> ${accessWords[one]}</label>\n`,
)}</fieldset>`
}

function invitationTable({ invitations, token, now }: UsersFacts): Html {
  const states = { open: 'warn', used: 'good', expired: undefined } as const
  return html`<div class="stack">
${
  invitations.length === 0
    ? emptyState(
        'No invitations',
        'Links that you make are listed here, also for 30 days after they were used or have expired.',
      )
    : table(
        'Invitations',
        [
          { label: 'Name' },
          { label: 'May' },
          { label: 'State' },
          { label: 'Link expires' },
          { label: 'Made by' },
          { label: 'Revoke' },
        ],
        invitations.slice(0, maxShown).map(({ id, name, access, state, expires, createdBy }) => [
          name,
          accessPills(access),
          pill(state, states[state]),
          // A link that was used has no time left.
          state === 'used' ? '' : ago(expires, now),
          createdBy,
          html`<form method="post" action="/users"><input type="hidden" name="token" value="${token}"><input type="hidden" name="action" value="revoke"><input type="hidden" name="id" value="${id}"><button class="button slight danger">${state === 'open' ? 'Revoke' : 'Remove'}<span class="visually-hidden"> the invitation of ${name}</span></button></form>`,
        ]),
      )
}
</div>
`
}
