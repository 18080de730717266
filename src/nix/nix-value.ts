/** Values in the Nix language. */
export type NixValue = string | number | boolean | readonly string[]

/** A string cannot end itself or begin an expression: `"` and `\` and `${` are escaped. */
function formatNixString(text: string): string {
  const escaped = text
    .replaceAll(/["\\]|\$(?=\{)/g, '\\$&')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r')
    .replaceAll('\t', '\\t')
  return `"${escaped}"`
}

export function formatNixValue(value: NixValue): string {
  if (typeof value === 'string') return formatNixString(value)
  if (typeof value !== 'object') return String(value)
  return value.length === 0 ? '[ ]' : `[ ${value.map(formatNixString).join(' ')} ]`
}
