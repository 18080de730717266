import { describe, expect, test } from '@jest/globals'

import { parseContact } from '../../../src/http/pages/contact.ts'

describe('parseContact', () => {
  test.each([
    ['ana@example.org', 'mailto:ana@example.org'],
    ['ana+cache@example.org', 'mailto:ana+cache@example.org'],
    ['a?bcc=b@example.org', 'mailto:a%3Fbcc=b@example.org'],
    ['https://chat.example.org/cache?x=1', 'https://chat.example.org/cache?x=1'],
    ['HTTP://intranet', 'http://intranet/'],
  ])('accepts %s', (text, href) => {
    expect(parseContact(text)).toEqual({ label: text, href })
  })

  test.each([
    '',
    'ana',
    'ana@',
    'a na@example.org',
    'ana@example.org\n',
    'ana@exa\u202emple.org',
    'javascript:alert(1)@example.org/',
    'javascript:alert(1)',
    'data:text/html,x',
    'https://',
    'https://user:pass@example.org/',
    'https://example.org/a b',
    'https://example.org/\u202e',
  ])('refuses %j', (text) => {
    expect(parseContact(text)).toBeUndefined()
  })
})
