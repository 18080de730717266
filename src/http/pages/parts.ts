/** The parts that pages are made of. All work without the script. Their styles are in assets/page.css. */
import { type Html, type HtmlValue, html } from './html.ts'

/**
 * A block of code with a button that copies it. `id`: unique on the page. `title`: where the code goes; it also names
 * the button.
 */
export function codeBlock(id: string, title: string, code: string): Html {
  return html`<div>
<p class="code-title">${title}</p>
<div class="code"><pre id="${id}">${code}</pre><button type="button" class="button slight" data-copies="${id}" hidden>Copy<span class="visually-hidden"> ${title}</span></button></div>
</div>
`
}

export interface Tab {
  readonly label: string
  readonly body: Html
}

/** At most six. `name`: unique on the page; `title`: what is chosen, for screen readers. */
export function tabs(name: string, title: string, all: readonly Tab[]): Html {
  return html`<fieldset class="tabs">
<legend class="visually-hidden">${title}</legend>
${all.map(
  ({ label }, index) =>
    html`<input type="radio" name="${name}" id="${name}-${index}"${index === 0 && html` checked`}><label for="${name}-${index}">${label}</label>\n`,
)}<span class="tab-line"></span>
${all.map(({ body }) => html`<div class="panel stack">${body}</div>\n`)}</fieldset>
`
}

export interface Column {
  readonly label: string
  /** Aligned to the end, in one line. */
  readonly isNumber?: boolean
}

/** `cells`: as many as columns; the first names its row. */
export function table(title: string, columns: readonly Column[], rows: readonly (readonly HtmlValue[])[]): Html {
  const numeric = (index: number) => columns[index]?.isNumber === true && html` class="number"`
  return html`<div class="table" role="region" aria-label="${title}" tabindex="0"><table>
<caption>${title}</caption>
<thead><tr>${columns.map(({ label }, index) => html`<th scope="col"${numeric(index)}>${label}</th>`)}</tr></thead>
<tbody>
${rows.map(
  ([first, ...others]) =>
    html`<tr><th scope="row" class="name">${first}</th>${others.map((cell, index) => html`<td${numeric(index + 1)}>${cell}</td>`)}</tr>\n`,
)}</tbody>
</table></div>
`
}

export interface Tile {
  readonly label: string
  readonly value: HtmlValue
  readonly note?: HtmlValue
}

/** Figures beside each other. */
export function tiles(all: readonly Tile[]): Html {
  return html`<dl class="tiles">
${all.map(
  ({ label, value, note }) =>
    html`<div><dt>${label}</dt><dd>${value}</dd>${note !== undefined && html`<dd class="note">${note}</dd>`}</div>\n`,
)}</dl>
`
}

export type Tone = 'good' | 'warn' | 'bad'

/** A state in one or two words. */
export function pill(text: string, tone?: Tone): Html {
  return html`<span class="pill${tone !== undefined && ` ${tone}`}">${text}</span>`
}

/** Instead of a table without rows. `next`: what the reader can do. */
export function emptyState(title: string, next: HtmlValue): Html {
  return html`<div class="empty"><strong>${title}</strong> <span>${next}</span></div>
`
}

/** A word and its value, one a line; facts without a value are left out. */
export function facts(all: readonly (readonly [label: string, value: HtmlValue])[]): Html {
  return html`<dl class="facts">
${all.map(([label, value]) => value !== undefined && value !== false && html`<dt>${label}</dt><dd>${value}</dd>\n`)}</dl>
`
}
