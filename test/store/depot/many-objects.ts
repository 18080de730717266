/** Objects of different sizes, the same in every run. */
import { file } from '../../nar/trees.ts'
import { type Made, make } from './fixture.ts'

export function manyObjects(): readonly Made[] {
  const compressions = ['zstd', 'br', 'none', 'gzip'] as const
  return Array.from({ length: 40 }, (_, at) =>
    make(`many-${at}`, {
      tree: file(Buffer.alloc(1000 + at * 20_000, `the content of ${at} `)),
      compression: compressions[at % 4]!,
    }),
  )
}
