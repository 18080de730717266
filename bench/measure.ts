/**
 * What a measure is: a name, a target, and a way to get a row of the table. Each of `measures/*.ts` holds one or a few.
 */
import type { Burrow } from './burrow.ts'
import type { Cache } from './cache.ts'
import type { SigningKey } from './nix.ts'
import { say } from './progress.ts'
import type { BenchStore } from './store.ts'

export interface Measure {
  /** For `--only`. */
  readonly name: string
  readonly what: string
  readonly unit: string
  readonly target: Target
  /** False when only Burrow itself can be measured so: left out of `--against-itself`. */
  readonly hasReference: boolean
  run(bench: Bench): Promise<Outcome>
}

/** What the target speaks of: Burrow's figure divided by the reference's, or Burrow's own. */
export interface Target {
  readonly of: 'ratio' | 'value'
  readonly relation: '≥' | '≤' | '>'
  readonly value: number
}

export interface Round {
  readonly reference: number | undefined
  readonly burrow: number
}

export interface Outcome {
  readonly rounds: readonly Round[]
  /** Said below the table. */
  readonly notes?: readonly string[]
}

/** Both sides of a comparison, serving the same bytes. */
export interface Pair {
  readonly reference: Cache
  readonly burrow: Cache
}

export interface Bench {
  readonly store: BenchStore
  readonly key: SigningKey
  /** Rounds of the short measures, and of those in which a single turn takes long. */
  readonly rounds: number
  readonly longRounds: number
  /** Length of a turn of a load that has no natural end. */
  readonly seconds: number
  /** nginx with zstd files, and Burrow with a warm larder. */
  compressed(): Promise<Pair>
  /** nginx with raw NARs, and a Burrow whose config says `"compression": "none"`. */
  raw(): Promise<Pair>
  /** A Burrow with an empty depot and a user that may push, just started; the caller ends it. */
  depot(): Promise<Burrow>
  /** A further Burrow, just started; the caller ends it. */
  fresh(
    label: string,
    options: { readonly compression: 'zstd' | 'none'; readonly larder: 'warm' | 'empty' },
  ): Promise<Burrow>
}

/**
 * Runs both sides by turns: the reference, Burrow, the reference, … so that a slow minute of the machine meets both.
 * A first turn of each is thrown away, unless what is measured makes its own beginning anew each time.
 */
export async function interleave(
  reference: () => Promise<number>,
  burrow: () => Promise<number>,
  { rounds, discardFirst = true }: { readonly rounds: number; readonly discardFirst?: boolean },
): Promise<Round[]> {
  if (discardFirst) {
    await reference()
    await burrow()
  }
  const result: Round[] = []
  for (let i = 0; i < rounds; i++) {
    const round = { reference: await reference(), burrow: await burrow() }
    result.push(round)
    const ratio = (round.burrow / round.reference).toFixed(2)
    say(
      `  round ${i + 1}/${rounds}: reference ${round.reference.toPrecision(4)}, burrow ${round.burrow.toPrecision(4)}, ratio ${ratio}`,
    )
  }
  return result
}
