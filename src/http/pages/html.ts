/**
 * HTML from template literals. Every value is escaped, so text from clients or from store paths never becomes markup.
 * Safe places for values are element content and quoted attributes, but not `<script>`, `<style>` or event handlers;
 * the scheme of a link must be checked by the caller. Characters that have no shape of their own, and could turn the
 * direction of text or hide a part of it, are replaced by a visible one.
 */

/** Markup, made by `html` alone. */
class Html {
  readonly #markup: string

  constructor(markup: string) {
    this.#markup = markup
  }

  toString(): string {
    return this.#markup
  }
}

export type { Html }

/** `undefined` and `false` render as nothing, the items of a list one after the other. */
export type HtmlValue = string | number | Html | false | undefined | readonly HtmlValue[]

export function html(literals: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return new Html(literals.map((literal, at) => (at === 0 ? literal : render(values[at - 1]) + literal)).join(''))
}

function render(value: HtmlValue): string {
  if (value instanceof Html) return value.toString()
  if (Array.isArray(value)) return value.map(render).join('')
  return value === undefined || value === false ? '' : escapeText(String(value))
}

const references: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Controls, formats (direction, zero width), separators of lines, and halves of characters. */
const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu
const isPlain = /^[\n\t\x20-\x7e]*$/

function escapeText(text: string): string {
  const visible = isPlain.test(text)
    ? text
    : text.replace(invisible, (character) => (character === '\n' || character === '\t' ? character : '\ufffd'))
  return visible.replace(/[&<>"']/g, (character) => references[character]!)
}
