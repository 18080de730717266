/**
 * A Burrow as far as its tunnel goes, for tests that kill it: `parent-process.ts BEHAVIOUR LIFELINE-PORT STATE-FILE
 * SEARCH-PATH stay|stop`; prints a line once it is connected.
 */
import { writeFile } from 'node:fs/promises'

import { startTunnel } from '../../../appliance/tunnel/start-tunnel.ts'
import type { ConnectorRecord } from '../../../appliance/tunnel/tunnel.ts'
import { silentLog } from '../../../src/log.ts'
import { endProcess } from './lifelines.ts'
import { createLaunch, settings } from './scripted-launch.ts'

const [behaviour = '', lifelinePort = '', stateFile = '', searchPath = '', then = 'stay'] = process.argv.slice(2)
const connectors: ConnectorRecord[] = []
const save = () => writeFile(stateFile, JSON.stringify(connectors))

const tunnel = startTunnel({
  settings,
  findBinary: async () => ({ path: createLaunch(behaviour, Number(lifelinePort)).command, version: undefined }),
  prepareLaunch: async () => createLaunch(behaviour, Number(lifelinePort)),
  memory: {
    connectors,
    async addConnector(record) {
      connectors.push(record)
      await save()
    },
    async removeConnector(pid) {
      connectors.splice(0, connectors.length, ...connectors.filter((record) => record.pid !== pid))
      await save()
    },
    async remember() {},
  },
  log: silentLog,
  // Timers that keep the program alive, so that one that was left behind would be noticed.
  clock: {
    now: Date.now,
    random: Math.random,
    after(ms, callback) {
      const timer = setTimeout(callback, ms)
      return () => clearTimeout(timer)
    },
  },
  endProcess,
  ownPid: process.pid,
  searchPath,
  onStatus({ state }) {
    if (state !== 'connected' || connectors.length === 0) return
    process.stdout.write('connected\n')
    if (then === 'stop') void tunnel.stop()
  },
})
