/**
 * The set-up for programs. It holds the password, as the lines for people do.
 *
 *   { "url": "https://…", "storeDir": "/nix/store", "publicKeys": ["…"], "nixConf": { "extra-substituters": ["https://…"], … },
 *     "login": { "host": "…", "name": "ben", "password": "…" }, "netrc": "machine … login ben password …", "mayPush": false }
 *
 * `url`, `login`, its `password` and `netrc` are null where they are not known, or not needed.
 */
import { hostOf, memoryValues, outageValues } from '../../../src/index.ts'
import { type ClientSetup, formatNetrcEntry } from '../client-setup.ts'

export function formatJsonForm({ url, storeDir, publicKeys, login }: ClientSetup, mayPush: boolean): string {
  const value = {
    url: url ?? null,
    storeDir,
    publicKeys,
    nixConf: {
      'extra-substituters': url === undefined ? [] : [url],
      'extra-trusted-public-keys': publicKeys,
      ...outageValues,
      ...memoryValues,
    },
    login:
      login === undefined
        ? null
        : { host: url === undefined ? null : hostOf(url), name: login.name, password: login.password ?? null },
    netrc: url === undefined || login?.password === undefined ? null : formatNetrcEntry(url, login),
    mayPush,
  }
  return `${JSON.stringify(value, undefined, 2)}\n`
}
