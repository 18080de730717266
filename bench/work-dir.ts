/** Everything a run builds lies here: ignored by git, reused by the next run, thrown away by `--rebuild` or by hand. */
import { fileURLToPath } from 'node:url'

export const workDir = fileURLToPath(new URL('.work', import.meta.url))
export const projectDir = fileURLToPath(new URL('..', import.meta.url))
/** The larder that is filled once and then stays warm, from run to run. */
export const warmLarderDir = fileURLToPath(new URL('.work/larder', import.meta.url))
