/**
 * Reads the system from a derivation, the only field a cache needs. A `.drv` file is an ATerm,
 * `Derive([outputs],[inputDrvs],[inputSrcs],"x86_64-linux","builder",[args],[env])`: the system is the first string
 * after the third list.
 * Source: Nix, "Derivation file format".
 */

/**
 * Returns undefined if the text is not a derivation. Text after the system is not read, so it may be truncated there.
 */
export function parseDerivationSystem(text: string): string | undefined {
  if (!text.startsWith('Derive(')) return undefined
  let depth = 0
  let lists = 0
  for (let at = 'Derive('.length; at < text.length; at++) {
    const character = text[at]
    if (character === '"') {
      const end = endOfString(text, at)
      if (end === undefined) return undefined
      if (depth === 0) return lists === 3 ? plainSystem(text.slice(at + 1, end)) : undefined
      at = end
    } else if (character === '[' || character === '(') depth++
    else if (character === ']' || character === ')') {
      depth--
      if (depth < 0) return undefined
      if (depth === 0) lists++
    }
  }
  return undefined
}

function endOfString(text: string, start: number): number | undefined {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '"') return at
  }
  return undefined
}

/** The system becomes a line of the narinfo, so anything but a plain word is dropped. */
function plainSystem(text: string): string | undefined {
  return /^[A-Za-z0-9_.+-]{1,100}$/.test(text) ? text : undefined
}
