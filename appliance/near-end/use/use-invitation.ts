/**
 * `burrow use` with the link of an invitation. Everything that can be refused is refused before the invitation is
 * accepted, because it works once and the password is shown once.
 */

import { formatNetrcLine } from '../../../src/index.ts'
import { Complaint, reasonOf } from '../../complaint.ts'
import type { Machine } from '../../machine.ts'
import { requireNoRefusal } from '../../plan/plan.ts'
import { findNixStore } from '../nix-store.ts'
import { acceptInvitation, fetchOffer, type InvitationLink, type Offer } from './invitation.ts'
import { runUse } from './run-use.ts'
import { planUse } from './use-plan.ts'
import type { UsePlan, UseWish } from './use-wish.ts'

export type InvitedWish = Omit<UseWish, 'login' | 'publicKeys'>

/** `isPrinted`: only shows what would be written, and accepts nothing. @throws {Complaint} */
export async function useInvitation(
  machine: Machine,
  link: InvitationLink,
  { wish, isPrinted }: { readonly wish: InvitedWish; readonly isPrinted: boolean },
): Promise<void> {
  const offer = await fetchOffer(link)
  if (wish.withPush) requirePush(machine, link, offer)
  const { publicKeys } = offer
  const planFor = (password: string): Promise<UsePlan> =>
    planUse(machine, { ...wish, publicKeys, login: { login: offer.name, password } })
  const { steps, texts } = await planFor('PASSWORD')
  requireNoRefusal(steps, 'set this up')
  if (isPrinted) return void machine.stdout.write(texts.map(({ file, text }) => `# ${file}\n${text}`).join('\n'))
  const { login, password } = await acceptInvitation(link)
  try {
    await runUse(machine, (await planFor(password)).steps)
  } catch (error) {
    throw new Complaint(
      'refused',
      `The invitation was accepted, but this machine was not set up: ${error instanceof Complaint ? error.message : reasonOf(error)}. Keep this line for the netrc file, and run "burrow use ${link.url} --user ${login}":\n${formatNetrcLine(link.url, login, password)}`,
      { cause: error },
    )
  }
  machine.stdout.write(`The invitation was accepted: this machine is user ${login} at ${link.url}.\n`)
}

function requirePush(machine: Machine, { url }: InvitationLink, { access, storeDir }: Offer): void {
  if (!access.includes('push') && !access.includes('admin'))
    throw new Complaint('unauthorized', `This invitation does not allow pushing to ${url}; leave out --push`)
  const { dir } = findNixStore(machine.env)
  if (storeDir !== dir)
    throw new Complaint('rejected', `${url} is a cache for "${storeDir}", but the store of this machine is "${dir}"`)
}
