/** The added users, for commands that only read. */
import { join } from 'node:path'

import type { User } from '../../src/index.ts'
import type { Config } from '../config/config.ts'
import type { State } from '../state/state.ts'
import { usersFile } from '../state/state-dir.ts'
import { createTeamDocument } from './team-document.ts'
import { toUser } from './team-view.ts'

/** Only the hashes of their passwords are known. @throws {Complaint} state: the file is damaged */
export async function findAddedUsers(config: Pick<Config, 'mutableUsers'>, state: State | undefined): Promise<User[]> {
  if (state === undefined || !config.mutableUsers) return []
  const content = await createTeamDocument(join(state.dir, usersFile)).find()
  return (content?.users ?? []).map(toUser)
}
