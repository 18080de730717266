/** Sizes as people write them: `20 GiB`, `500MB`, `1.5 TiB`, or a number of bytes. */

const units: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
}

/** Whole bytes, or `undefined`. */
export function parseByteSize(text: string): number | undefined {
  const [, amount, unit] = /^(\d+(?:\.\d+)?) ?([KMGT]?i?B)?$/i.exec(text.trim()) ?? []
  if (amount === undefined) return undefined
  const bytes = Math.floor(Number(amount) * (units[(unit ?? 'B').toUpperCase()] ?? Number.NaN))
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** Of a size that has passed the schema. */
export function toBytes(size: string | number): number {
  return typeof size === 'number' ? size : parseByteSize(size)!
}
