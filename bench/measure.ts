/** What a measure is: a name, a target, and a way to get a row of the table. Each of `measures/*.ts` holds one or a few. */
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
  /** Rounds and seconds to spend where a measure does not say otherwise. */
  readonly rounds: number
  readonly seconds: number
  /** nginx with zstd files, and Burrow with a warm larder. */
  compressed(): Promise<Pair>
  /** nginx with raw NARs, and a Burrow whose config says `"compression": "none"`. */
  raw(): Promise<Pair>
  /** A further Burrow, just started; the caller ends it. */
  fresh(label: string, options: { readonly compression: 'zstd' | 'none'; readonly larder: 'warm' | 'empty' }): Promise<Burrow>
}

/**
 * Runs both sides by turns: the reference, Burrow, the reference, … so that a slow minute of the machine meets both.
 * A first turn of each is thrown away.
 */
export async function interleave(bench: Bench, reference: () => Promise<number>, burrow: () => Promise<number>, rounds = bench.rounds): Promise<Round[]> {
  await reference()
  await burrow()
  const result: Round[] = []
  for (let i = 0; i < rounds; i++) {
    const round = { reference: await reference(), burrow: await burrow() }
    result.push(round)
    say(
      `  round ${i + 1}/${rounds}: reference ${round.reference.toPrecision(4)}, burrow ${round.burrow.toPrecision(4)}, ratio ${(round.burrow / round.reference).toFixed(2)}`,
    )
  }
  return result
}
