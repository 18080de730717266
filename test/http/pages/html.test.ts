import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { type HtmlValue, html } from '../../../src/http/pages/html.ts'

describe('html', () => {
  test.each([
    ['<script>alert(1)</script>', '&lt;script&gt;alert(1)&lt;/script&gt;'],
    [`"><img src=x onerror='alert(1)'>`, '&quot;&gt;&lt;img src=x onerror=&#39;alert(1)&#39;&gt;'],
    ['&lt;b&gt;', '&amp;lt;b&amp;gt;'],
    ['</title><svg onload=1>', '&lt;/title&gt;&lt;svg onload=1&gt;'],
    ['hello-1.0 ☃', 'hello-1.0 ☃'],
    ['two\n\tlines', 'two\n\tlines'],
    ['pay\u202efdp.exe', 'pay\ufffdfdp.exe'],
    ['a\u200bb\u0000c\u001b[31md\u2028e\ud800', 'a\ufffdb\ufffdc\ufffd[31md\ufffde\ufffd'],
  ])('escapes %j', (text, escaped) => {
    expect(html`<p title="${text}">${text}</p>`.toString()).toBe(`<p title="${escaped}">${escaped}</p>`)
  })

  test('escapes a value once, and keeps its own markup when it is nested', () => {
    const items = ['a<b', 'c&d'].map((name) => html`<li>${name}</li>`)
    expect(html`<ul>${items}</ul>`.toString()).toBe('<ul><li>a&lt;b</li><li>c&amp;d</li></ul>')
  })

  test('renders nothing for undefined, false and an empty list, and numbers as they are', () => {
    expect(html`[${undefined}${false}${[]}${0}]`.toString()).toBe('[0]')
  })

  test('takes no other object for markup', () => {
    const forged = { toString: () => '<b>' } as unknown as HtmlValue
    expect(html`${forged}`.toString()).toBe('&lt;b&gt;')
  })

  test('lets no character through that could end text or a quoted attribute', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const escaped = html`${text}`.toString()
        expect(escaped).not.toMatch(/[<>"']|&(?!(?:amp|lt|gt|quot|#39);)/)
      }),
    )
  })
})
