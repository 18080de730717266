/** The closure on the page of a path: its size, a tree map of the largest members, and the same as a table. */
import { formatBytes, formatCount } from '../../../format.ts'
import { nameOf } from '../../../nix/store-path.ts'
import { type Html, html } from '../html.ts'
import { table } from '../parts.ts'
import { pathLink, size } from '../path-list.ts'
import type { Closure } from './closure.ts'
import { type Area, treeMap } from './tree-map.ts'

/** The others are one rectangle, and a line of the table. */
const maxShown = 24

export function renderClosure({ members, bytes, missing, isWhole }: Closure, own: string): Html {
  const shown = members.slice(0, maxShown)
  const others = members.slice(maxShown)
  const otherBytes = others.reduce((sum, { narSize }) => sum + narSize, 0)
  const percent = (part: number) => (bytes === 0 ? '' : `${((100 * part) / bytes).toFixed(1)} %`)
  const areas: Area[] = shown
    .filter(({ narSize }) => narSize > 0)
    .map(({ storePath, narSize }) => ({
      label: nameOf(storePath),
      size: narSize,
      note: formatBytes(narSize),
      kind: storePath === own ? 'own' : undefined,
    }))
  if (otherBytes > 0)
    areas.push({
      label: `${formatCount(others.length)} smaller`,
      size: otherBytes,
      note: formatBytes(otherBytes),
      kind: 'rest',
    })
  areas.sort((left, right) => right.size - left.size)
  const total = `${formatBytes(bytes)} in ${formatCount(members.length, 'path')}`
  const sum = html`<p><strong>${isWhole ? '' : 'At least '}${total}</strong>, uncompressed.${
    missing > 0 && ` ${formatCount(missing, 'further path')} in it ${missing === 1 ? 'is' : 'are'} not on this machine.`
  }</p>`
  // Of one path there is nothing to compare.
  if (members.length === 1) return sum
  return html`${sum}
${areas.length > 1 && treeMap(`Sizes in the closure: ${total}`, areas)}
<details><summary>As a table</summary>
${table(
  'The largest paths of the closure',
  [{ label: 'Name' }, { label: 'Size', isNumber: true }, { label: 'Share', isNumber: true }],
  [
    ...shown.map(({ storePath, narSize }) => [pathLink(storePath), size(narSize), percent(narSize)]),
    ...(others.length > 0
      ? [[`${formatCount(others.length)} smaller ones`, size(otherBytes), percent(otherBytes)]]
      : []),
  ],
)}</details>`
}
