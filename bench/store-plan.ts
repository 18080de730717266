/**
 * The shape of the benchmark's store, drawn from a seed: how large each object is, what it is made of and what it
 * refers to. Sizes follow a real system's closure: median about 20 KB, log-normal, some dozens of 1 to 50 MB, one file
 * of 500 MB and one folder with 20,000 tiny files. References form layers, as in a closure: shallow enough to be copied
 * in parallel.
 */
import { drawLogNormal, seededRandom } from './statistics.ts'

export type ObjectKind = 'tree' | 'file' | 'large' | 'huge-file' | 'tiny-files' | 'root'

export interface PlannedObject {
  readonly storePath: string
  readonly kind: ObjectKind
  /** Bytes of content aimed at. */
  readonly bytes: number
  readonly deriver: string
  /** Positions in the plan, all below this object's own, or equal to it. */
  readonly references: readonly number[]
}

const seed = 20_180_601
const ordinary = 1_420
const large = 60
const layers = 12
const nix32 = '0123456789abcdfghijklmnpqrsvwxyz'

export function planStore(names: readonly string[]): PlannedObject[] {
  const random = seededRandom(seed)
  const bodies = planSizes(random)
  const total = bodies.length + 1
  const referredTo = new Set<number>()
  const objects: PlannedObject[] = bodies.map((body, index) => {
    const references = drawReferences(index, bodies.length, random)
    for (const reference of references) if (reference !== index) referredTo.add(reference)
    return { ...body, ...drawNames(names, random), references }
  })
  const unreferred = [...Array(bodies.length).keys()].filter((index) => !referredTo.has(index))
  objects.push({ kind: 'root', bytes: 2_000, ...drawNames(['system-path'], random), references: unreferred })
  if (objects.length !== total) throw new Error('The plan of the store lost an object')
  return objects
}

function planSizes(random: () => number): { kind: ObjectKind; bytes: number }[] {
  const bodies: { kind: ObjectKind; bytes: number }[] = []
  for (let i = 0; i < ordinary; i++) {
    const bytes = Math.min(Math.max(200, drawLogNormal(19_000, 1.7, random)), 1 << 20)
    bodies.push({ kind: random() < 0.15 ? 'file' : 'tree', bytes })
  }
  // Evenly in the logarithm, so that there are as many of 1-7 MB as of 7-50 MB.
  for (let i = 0; i < large; i++) bodies.push({ kind: 'large', bytes: 1e6 * 50 ** ((i + random()) / large) })
  bodies.push({ kind: 'huge-file', bytes: 500e6 }, { kind: 'tiny-files', bytes: 20_000 })
  // Any object may be in any layer.
  for (let i = bodies.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[bodies[i], bodies[j]] = [bodies[j]!, bodies[i]!]
  }
  return bodies
}

function drawReferences(index: number, total: number, random: () => number): number[] {
  const perLayer = Math.ceil(total / layers)
  const below = Math.floor(index / perLayer) * perLayer
  const references = new Set<number>()
  if (below > 0) {
    const count = Math.floor(random() ** 2 * 9)
    for (let i = 0; i < count; i++) references.add(Math.floor(random() * below))
  }
  if (random() < 0.3) references.add(index)
  return [...references]
}

function drawNames(names: readonly string[], random: () => number): { storePath: string; deriver: string } {
  const name = `${names[Math.floor(random() * names.length)]!}-${Math.floor(random() * 9)}.${Math.floor(random() * 30)}`
  const deriver = random() < 0.7 ? `/nix/store/${drawHashPart(random)}-${name}.drv` : ''
  return { storePath: `/nix/store/${drawHashPart(random)}-${name}`, deriver }
}

export function drawHashPart(random: () => number): string {
  let text = ''
  for (let i = 0; i < 32; i++) text += nix32[Math.floor(random() * 32)]
  return text
}
