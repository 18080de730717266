/** Changes one member of a JSON text; the rest keeps its order, line breaks and spaces. */
import { applyEdits, type ModificationOptions, modify } from 'jsonc-parser'

/** `text` is a valid JSON object; `value` replaces its member `key`, or is added after the last one. */
export function withMember(text: string, key: string, value: unknown): string {
  const mark = text.startsWith('\ufeff') ? '\ufeff' : ''
  const document = text.slice(mark.length)
  return mark + applyEdits(document, modify(document, [key], value, optionsFor(document)))
}

/** The format of the document. A document on a single line is not reformatted. */
function optionsFor(document: string): ModificationOptions {
  const indent = /\n([ \t]+)"/.exec(document)?.[1]
  if (indent === undefined && !/^\s*\{\s*\}\s*$/.test(document)) return {}
  const formattingOptions = {
    insertSpaces: indent?.startsWith('\t') !== true,
    tabSize: indent?.startsWith('\t') === true ? 4 : (indent?.length ?? 2),
    eol: document.includes('\r\n') ? '\r\n' : '\n',
  }
  return { formattingOptions }
}
