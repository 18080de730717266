// Jest transformer: what Node itself does to a .ts file, so that tests run the very code that ships.
import { stripTypeScriptTypes } from 'node:module'

export default {
  process: (source) => ({ code: stripTypeScriptTypes(source, { mode: 'strip' }) }),
}
