/** Whose connection it is, by rows of /proc/net/tcp as the kernel writes them. */
import { describe, expect, test } from '@jest/globals'

import { findUserIn } from '../../appliance/near-end/relay/peer-user.ts'

const ends = { remoteAddress: '127.0.0.1', remotePort: 40_000, localAddress: '127.0.0.1', localPort: 8078 }
const row = (local: string, { remote = '0100007F:1F8E', state = '01', user = 1000, inode = 4711 } = {}) =>
  `   3: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000  ${user}        0 ${inode} 1 0 20 4 30 10 -1`

describe('findUserIn', () => {
  test('finds the row of the peer, not our own', () => {
    const own = row('0100007F:1F8E', { remote: '0100007F:9C40', user: 7 })
    expect(findUserIn([own, row('0100007F:9C40')], ends)).toBe(1000)
  })

  test('the same ports on another address are another connection', () => {
    expect(findUserIn([row('0100007F:9C40', { user: 0 })], { ...ends, remoteAddress: '127.0.0.2' })).toBeUndefined()
    expect(findUserIn([row('0200007F:9C40', { user: 0 }), row('0100007F:9C40')], ends)).toBe(1000)
  })

  test.each([
    ['waits after its end', { state: '06', inode: 0 }],
    ['was closed while its last bytes are sent', { state: '04', inode: 0 }],
    ['has no process', { inode: 0 }],
  ])('a socket that %s, and is listed as of root, counts as gone', (_name, fields) => {
    expect(findUserIn([row('0100007F:9C40', { user: 0, ...fields })], ends)).toBeUndefined()
  })

  test('IPv4 in a socket of IPv6, at either end', () => {
    const mapped = row('0000000000000000FFFF00000100007F:9C40', { remote: '0000000000000000FFFF00000100007F:1F8E' })
    expect(findUserIn([mapped], ends)).toBe(1000)
    expect(findUserIn([row('0100007F:9C40')], { ...ends, remoteAddress: '::ffff:127.0.0.1' })).toBe(1000)
  })

  test('IPv6', () => {
    const loopback = '00000000000000000000000001000000'
    const ipv6 = { remoteAddress: '::1', remotePort: 40_000, localAddress: '::1', localPort: 8078 }
    expect(findUserIn([row(`${loopback}:9C40`, { remote: `${loopback}:1F8E` })], ipv6)).toBe(1000)
  })
})
