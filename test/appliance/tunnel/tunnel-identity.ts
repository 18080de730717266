/** A tunnel that nobody has, in both forms. */
import type { TunnelIdentity } from '../../../appliance/tunnel/launch/token.ts'

export const identity: TunnelIdentity = {
  accountTag: '0123456789abcdef0123456789abcdef',
  tunnelId: '11111111-2222-4333-8444-555555555555',
  secret: Buffer.from('a secret of the tests, 32 bytes!').toString('base64'),
  endpoint: undefined,
}

export const token = formatTunnelToken(identity)

export const credentialsText = JSON.stringify({
  AccountTag: identity.accountTag,
  TunnelID: identity.tunnelId,
  TunnelSecret: identity.secret,
  Endpoint: '',
})

/** As `cloudflared tunnel token` prints it. */
export function formatTunnelToken({ accountTag: a, tunnelId: t, secret: s, endpoint: e }: TunnelIdentity): string {
  return Buffer.from(JSON.stringify({ a, t, s, ...(e === undefined ? {} : { e }) })).toString('base64')
}
