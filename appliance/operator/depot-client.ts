/** Asks the running Burrow of this machine about its depot, or to change it: depot-routes.ts answers. */
import { Complaint } from '../complaint.ts'
import type { ListenAddress } from '../config/listen-address.ts'
import { loadLocations } from '../config/load-config.ts'
import type { Machine } from '../machine.ts'
import { askBurrowAt, type Question } from './command-client.ts'

/** `path`: `gc`, `who?path=…` */
export type DepotQuestion = Question

/** @throws {Complaint} config, refused, interrupted */
export async function askDepot<T>(machine: Machine, config: string | undefined, question: DepotQuestion): Promise<T> {
  const { operator } = loadLocations({ machine, file: config })
  if (operator === undefined)
    throw new Complaint(
      'refused',
      'Cannot ask Burrow: "operator" is null in the config. Remove that setting, and restart Burrow',
    )
  return await askDepotAt<T>(operator.address, question)
}

/** @throws {Complaint} refused */
export async function askDepotAt<T>(address: ListenAddress, question: DepotQuestion): Promise<T> {
  return await askBurrowAt<T>(address, { ...question, path: `/depot/${question.path}` })
}
