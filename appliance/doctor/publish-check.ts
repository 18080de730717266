/** Checks of the published paths: as the running Burrow reports them, or as the config and the store say. */
import { Publication } from '../../src/index.ts'
import type { Config } from '../config/config.ts'
import type { StatusReport, StoreReport } from '../operator/status.ts'
import { toPlace } from '../server/store-place.ts'
import { formatCount } from '../terminal/format.ts'
import { type Findings, fail, ok, warn } from './finding.ts'

type Published = NonNullable<StoreReport['published']>

export async function* checkPublished({ publish, store }: Config, report: StatusReport | undefined): Findings {
  if (publish === undefined) return
  const nix = report?.stores.find(({ type }) => type === 'nix')
  if (nix !== undefined && nix.published === undefined)
    return yield fail(
      'publish',
      'the running Burrow serves the whole Nix store: it was started with another config',
      'restart Burrow',
    )
  const published = nix?.published ?? determine(publish, store)
  // The store itself has been checked.
  if (published === undefined) return
  for (const { root, problem } of published.rootProblems)
    yield warn('publish', `the root "${root}" ${problem}`, 'correct "publish.roots", or create it')
  const count = `${formatCount(published.paths)} of ${formatCount(published.ofPaths, 'path')} of the Nix store are published`
  const remedy = 'ask "burrow publish explain PATH" for a path that should be'
  if (published.state === 'failed')
    yield fail('publish', 'the published paths cannot be determined, so none are served', 'check the log of Burrow')
  else if (published.state === 'starting') yield warn('publish', 'the published paths are not known yet', 'wait')
  else if (published.paths === 0) yield fail('publish', count, remedy)
  else yield ok('publish', count)
}

function determine(publish: NonNullable<Config['publish']>, store: Config['store']): Published | undefined {
  using publication = new Publication(publish, toPlace(store))
  try {
    publication.update()
  } catch {
    return undefined
  }
  const { count, ofCount, rootProblems } = publication
  return { state: 'current', paths: count, ofPaths: ofCount, rootProblems: [...rootProblems] }
}
