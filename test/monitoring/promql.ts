/**
 * What a PromQL expression reads: the metrics with the label matchers behind each, and the labels that it groups or
 * joins by. Not a parser (promtool is one): strings, ranges, numbers, functions and keywords are known, and every other
 * name is a metric.
 */
export interface Matcher {
  readonly label: string
  readonly operator: string
  readonly value: string
}

export interface Usage {
  readonly metrics: readonly { readonly name: string; readonly matchers: readonly Matcher[] }[]
  readonly groupingLabels: readonly string[]
}

const keywords = new Set([
  ...['and', 'or', 'unless', 'by', 'without', 'on', 'ignoring', 'group_left', 'group_right', 'offset', 'bool'],
  // Aggregations may have their labels in front of the parenthesis.
  ...['sum', 'min', 'max', 'avg', 'count', 'topk', 'bottomk', 'stddev', 'quantile'],
])

export function readUsage(expression: string): Usage {
  const groupings = [
    ...expression.matchAll(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g),
  ].flatMap(([, list]) => list!.split(','))
  const rest = expression
    .replaceAll(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ')
    .replaceAll(/\[[^\]]*\]/g, ' ')
    .replaceAll(/\boffset\s+\w+/g, ' ')
  // A function's name stands before a parenthesis; digits begin numbers and durations.
  const metrics = [...rest.matchAll(/(?<![\w$"])([a-zA-Z_:][\w:]*)\s*(\{(?:"[^"]*"|[^}"])*\})?(?!\s*\()/g)]
  const strings = /"(?:[^"\\]|\\.)*"/g
  const inStrings = [...rest.matchAll(strings)].map(({ index, 0: text }) => [index, index + text.length] as const)
  const inBraces = [...rest.matchAll(/\{(?:"[^"]*"|[^}"])*\}/g)].map(
    ({ index, 0: text }) => [index, index + text.length] as const,
  )
  const isInside = (at: number) => [...inStrings, ...inBraces].some(([from, to]) => from <= at && at < to)
  return {
    metrics: metrics
      .filter(({ index, 1: name }) => !isInside(index) && !keywords.has(name!) && !isCall(rest, index, name!))
      .map(([, name, braces = '']) => ({ name: name!, matchers: readMatchers(braces) })),
    groupingLabels: groupings.map((label) => label.trim()).filter((label) => label !== ''),
  }
}

function isCall(text: string, at: number, name: string): boolean {
  return /^\w*\s*\(/.test(text.slice(at + name.length))
}

function readMatchers(braces: string): Matcher[] {
  return [...braces.matchAll(/(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"/g)].map(([, label, operator, value]) => ({
    label: label!,
    operator: operator!,
    value: value!,
  }))
}
