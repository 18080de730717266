/** What a change of users did, for the page that follows it. */
import { type Html, html } from '../html.ts'
import { codeBlock } from '../parts.ts'

export type Outcome =
  | { readonly kind: 'done'; readonly text: string }
  | { readonly kind: 'refused'; readonly reason: string }
  /** A password, or a link with a token: shown once. */
  | { readonly kind: 'secret'; readonly text: string; readonly title: string; readonly secret: string }

export function renderOutcome(outcome: Outcome): Html {
  switch (outcome.kind) {
    case 'done':
      return html`<p class="note-box good" role="status">${outcome.text}.</p>`
    case 'refused':
      return html`<p class="note-box bad" role="alert">Nothing was changed. ${outcome.reason}.</p>`
    case 'secret':
      return html`<div class="note-box good stack" role="status"><p>${outcome.text}. <strong>This is shown only now.</strong></p>
${codeBlock('secret', outcome.title, outcome.secret)}</div>`
  }
}
