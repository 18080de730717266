/** The changes that the forms of `/users` ask for. A change that cannot be understood is refused like any other. */
import type { IncomingMessage } from 'node:http'

import { shownOriginOf } from '../auth/client-address.ts'
import { accessKinds } from '../auth/user.ts'
import type { Outcome } from '../pages/users/outcome.ts'
import { isRefusal, type Team, type TeamRefusal } from '../team.ts'

const hourMs = 3_600_000
const validities: Readonly<Record<string, number>> = { '1h': hourMs, '48h': 48 * hourMs, '7d': 168 * hourMs }

export async function changeTeam(
  team: Team,
  form: URLSearchParams,
  by: string,
  request: IncomingMessage,
): Promise<Outcome> {
  const name = form.get('name') ?? ''
  const access = accessKinds.filter((one) => form.getAll('access').includes(one))
  const expires = parseDay(form.get('expires') ?? '')
  if (expires === 'invalid') return refuse('The date must look like 2030-12-31')
  const isSelf = name === by
  switch (form.get('action')) {
    case 'invite':
      return await invite(
        team,
        { name, access, userExpires: expires, validMs: validities[form.get('valid') ?? ''] },
        by,
        request,
      )
    case 'revoke':
      return say(await team.revoke(form.get('id') ?? '', by), ({ name: whose }) => `The invitation of ${whose} is gone`)
    case 'access':
      if (isSelf && !access.includes('admin')) return refuse('You cannot stop being an administrator yourself')
      return say(await team.changeAccess(name, access, by), () => `The access of ${name} was changed`)
    case 'expiry':
      if (isSelf && expires !== undefined) return refuse('You cannot let yourself expire')
      return say(await team.changeExpiry(name, expires, by), () => `The expiry of ${name} was changed`)
    case 'remove':
      if (isSelf) return refuse('You cannot remove yourself')
      if (form.get('sure') !== 'yes') return refuse('Tick the box to remove a user')
      return say(await team.remove(name, by), () => `${name} was removed`)
    case 'password': {
      const changed = await team.changePassword(name, undefined, by)
      if (isRefusal(changed)) return refuse(changed.reason)
      return {
        kind: 'secret',
        text: `${name} has a new password`,
        title: `Password of ${name}`,
        secret: changed.password,
      }
    }
    default:
      return refuse('The form is not known')
  }
}

async function invite(
  team: Team,
  wish: Parameters<Team['invite']>[0],
  by: string,
  request: IncomingMessage,
): Promise<Outcome> {
  if (wish.access.length === 0) return refuse('Choose what the user may do')
  const issued = await team.invite(wish, by)
  if (isRefusal(issued)) return refuse(issued.reason)
  return {
    kind: 'secret',
    text: `Send this link to ${wish.name}, over a channel that others cannot read`,
    title: `Invitation of ${wish.name}`,
    secret: `${shownOriginOf(request).url}/join/${issued.token}`,
  }
}

function say<Done extends object>(outcome: Done | TeamRefusal, format: (done: Done) => string): Outcome {
  return isRefusal(outcome) ? refuse(outcome.reason) : { kind: 'done', text: format(outcome as Done) }
}

/** Sentences without the full stop, which the page adds. */
const refuse = (reason: string): Outcome => ({ kind: 'refused', reason: reason.replace(/\.$/, '') })

/** The end of a day in UTC; undefined for no day. */
function parseDay(text: string): Date | undefined | 'invalid' {
  if (text === '') return undefined
  const date = new Date(`${text}T23:59:59Z`)
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(date.getTime()) ? date : 'invalid'
}
