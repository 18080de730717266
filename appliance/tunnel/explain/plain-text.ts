/**
 * Text of others for a sentence of ours: one line, without control characters (a terminal would obey them) and without
 * its own full stop, of bounded length.
 */
export function toPlainText(text: string, maxLength = 300): string {
  const line = text
    .slice(0, maxLength * 4)
    .replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim()
    .replace(/\.$/, '')
  return line.length > maxLength ? `${line.slice(0, maxLength)}…` : line
}
