import { describe, expect, test } from '@jest/globals'

import { renderIndexPage } from '../../../src/http/pages/index-page.ts'

const hostile = `"><script>alert('1')</script>&`
const shown = '&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;'

describe('renderIndexPage', () => {
  test('escapes every fact', () => {
    const page = renderIndexPage({
      storeDir: `/store${hostile}`,
      publicKeys: [`key${hostile}`],
      isPublic: false,
      origin: { url: `http://url${hostile}`, hostname: `host${hostile}` },
    }).toString()
    expect(page).not.toContain('<script>')
    for (const fact of ['/store', 'key', 'http://url', 'host']) expect(page).toContain(`${fact}${shown}`)
  })

  test('has a placeholder where the origin is not known', () => {
    const page = renderIndexPage({
      storeDir: '/nix/store',
      publicKeys: [],
      isPublic: false,
      origin: undefined,
    }).toString()
    expect(page).toContain('extra-substituters = https://this.address\n# This cache does not sign anything itself.')
    expect(page).toContain('machine this.address login NAME password PASSWORD')
  })

  test('does not mention a login on a public cache', () => {
    const page = renderIndexPage({
      storeDir: '/nix/store',
      publicKeys: [],
      isPublic: true,
      origin: undefined,
    }).toString()
    expect(page).not.toMatch(/netrc|password/i)
  })
})
