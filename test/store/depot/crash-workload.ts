/** The same pushes in every run, each acknowledged when the depot has answered. */
import { directory, file } from '../../nar/trees.ts'
import { ann, type Made, make, type TestDepot } from './fixture.ts'
import { commit, mib, putBatch, putPart } from './parts.ts'

export function workload(): {
  readonly made: readonly Made[]
  readonly run: (test: TestDepot, acknowledge: (storePath: string) => void) => Promise<void>
} {
  const lib = make('lib', { tree: directory({ lib: file('x'.repeat(3000)) }) })
  const app = make('app', { references: [lib.path.storePath], compression: 'br' })
  const [left, right] = [make('left', { references: [lib.path.storePath] }), make('right', { compression: 'gzip' })]
  const parts = make('parts', { tree: file(Buffer.alloc(1.5 * mib, 'the same ')), compression: 'none' })
  // Its own compression is `none`, as for parts: the depot keeps the frames as they were sent.
  const batch = ['one', 'two', 'three'].map((name) => make(name, { compression: 'none' }))
  const made = [lib, app, left, right, parts, ...batch]
  return {
    made,
    async run(test, acknowledge) {
      const push = async (one: Made) => {
        const verdict = await test.push(one)
        if (verdict.status !== 'registered') throw new Error(JSON.stringify(verdict))
        acknowledge(one.path.storePath)
      }
      await push(lib)
      await push(app)
      // At once, so that they share flushes and commits.
      for (const one of [left, right]) await test.send(one)
      await Promise.all([test.depot.register({ paths: [left.path, right.path], who: ann, isAtomic: true })])
      for (const one of [left, right]) acknowledge(one.path.storePath)
      for (const index of [1, 0]) await putPart(test, parts, index)
      const [verdict] = await commit(test, [parts])
      if (verdict?.status !== 'registered') throw new Error(JSON.stringify(verdict))
      acknowledge(parts.path.storePath)
      const received = await putBatch(test, batch)
      if (!Array.isArray(received) || received.some(({ status }) => status !== 'stored'))
        throw new Error(JSON.stringify(received))
      for (const one of await commit(test, batch)) if (one.status !== 'registered') throw new Error(JSON.stringify(one))
      for (const one of batch) acknowledge(one.path.storePath)
      // Rows go before files: no cut may leave a row whose file is gone.
      const gone = make('gone', { references: [lib.path.storePath] })
      await test.push(gone)
      await test.depot.forget([gone.path.storePath], 'root')
    },
  }
}
