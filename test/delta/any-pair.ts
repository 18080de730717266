/** Pairs of trees of which the second is made from the first: the way a new version is. */
import fc from 'fast-check'
import { anyTree, sorted, type Tree } from '../nar/trees.ts'

type Entries = readonly (readonly [Buffer, Tree])[]

/** What becomes of one node. The numbers choose how. */
function change(tree: Tree, next: () => number): Tree {
  if (tree.kind === 'directory') return sorted(changeEntries(tree.entries, next))
  if (tree.kind === 'symlink') return next() % 3 === 0 ? { kind: 'symlink', target: Buffer.from('elsewhere') } : tree
  const { content, isExecutable } = tree
  const at = content.length === 0 ? 0 : next() % content.length
  switch (next() % 6) {
    case 0:
      return { ...tree, isExecutable: !isExecutable }
    case 1:
      return { ...tree, content: Buffer.concat([content.subarray(0, at), Buffer.from('new'), content.subarray(at)]) }
    case 2:
      return { ...tree, content: content.subarray(at) }
    case 3:
      return { ...tree, content: Buffer.concat(Array.from({ length: 30 }, () => content)) }
    default:
      return tree
  }
}

function changeEntries(entries: Entries, next: () => number): [Buffer, Tree][] {
  const changed = new Map<string, [Buffer, Tree]>()
  for (const [name, child] of entries) {
    const action = next() % 8
    if (action === 0) continue
    const newName = action === 1 ? Buffer.concat([name, Buffer.from('2')]) : name
    changed.set(newName.toString('latin1'), [newName, change(child, next)])
  }
  return [...changed.values()]
}

export const anyPair: fc.Arbitrary<[Tree, Tree]> = fc.oneof(
  fc.tuple(anyTree, anyTree),
  fc.tuple(anyTree, fc.array(fc.nat({ max: 10_000 }), { minLength: 20, maxLength: 40 })).map(([tree, numbers]) => {
    let at = 0
    return [tree, change(tree, () => numbers[at++ % numbers.length]!)] as [Tree, Tree]
  }),
)
