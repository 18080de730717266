/** A status report as a Burrow that does well would give it. */
import type { StatusReport } from '../../appliance/operator/status.ts'
import type { LarderStats, StoreHealth } from '../../src/index.ts'

export const sampleStores: readonly StoreHealth[] = [
  {
    name: 'nix',
    type: 'nix',
    location: '/nix/store',
    isReadable: true,
    mode: 'live',
    problem: undefined,
    leases: { active: true, connections: 1, roots: 12, held: 1 },
    withdrawn: { now: 0, total: 0 },
  },
]

export const sampleLarder: LarderStats & { dir: string } = {
  dir: '/var/cache/burrow/larder',
  files: 1234,
  bytes: 5 * 2 ** 30,
  maxBytes: 20 * 2 ** 30,
  fillsUnderWay: 0,
  deltas: { made: 0, sent: 0, savedBytes: 0 },
  hits: 980,
  fills: 20,
  evictions: 0,
  damaged: 0,
  unwritable: undefined,
}

export const sampleReport: StatusReport = {
  version: '1.2.3',
  pid: 4711,
  startedAt: '2030-01-01T00:00:00.000Z',
  now: '2030-01-03T05:06:07.000Z',
  config: '/etc/burrow/burrow.json',
  stateDir: '/var/lib/burrow',
  tunnel: {
    state: 'connected',
    since: '2030-01-03T04:06:07.000Z',
    reason: 'the edge has accepted 4 connections',
    remedy: null,
    mode: 'token',
    connections: 4,
    hostname: 'cache.example.org',
    tunnelId: '11111111-2222-4333-8444-555555555555',
    connectorId: '99999999-2222-4333-8444-555555555555',
    binary: { path: '/usr/bin/cloudflared', version: '2026.8.2' },
    pid: 4712,
    metricsUrl: 'http://127.0.0.1:20241',
    isStopping: false,
    restarts: 2,
    lastConnected: '2030-01-03T04:06:07.000Z',
    nextAttempt: null,
    lastError: null,
  },
  publicUrl: 'https://cache.example.org',
  origin: {
    url: 'http://127.0.0.1:8080',
    requestsUnderWay: 3,
    isDraining: false,
    impediment: null,
    answersAbsent: false,
  },
  storeDir: '/nix/store',
  stores: sampleStores,
  larder: sampleLarder,
  users: [
    { name: 'ana', access: ['pull', 'push'], expires: null, isExpired: false, source: 'config' },
    { name: 'ben', access: ['pull'], expires: '2030-01-01T05:06:07.000Z', isExpired: true, source: 'added' },
  ],
  openInvitations: 0,
  publicKeys: ['cache.example.org-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='],
  traffic: {
    requests: 12_345,
    bytes: 45 * 2 ** 30,
    pushedPaths: 0,
    receivedBytes: 0,
    transfersUnderWay: 3,
    failedLogins: 5,
  },
}

const calm = {
  isReadable: true,
  mode: undefined,
  problem: undefined,
  leases: undefined,
  withdrawn: { now: 0, total: 0 },
} as const

export const sampleDepot: StoreHealth = {
  ...calm,
  name: 'depot',
  type: 'depot',
  location: '/var/lib/burrow/depot',
  depot: {
    objects: 1234,
    nars: 1200,
    damaged: 0,
    pins: 3,
    unfinishedUploads: 0,
    unfinishedBytes: 0,
    usedBytes: 12 * 2 ** 30,
    maxBytes: 50 * 2 ** 30,
    freeBytes: 100 * 2 ** 30,
    pushedToday: [{ user: 'ci', bytes: 2 ** 30 }],
    refusedToday: 0,
    shortage: undefined,
    recovered: { sweptFiles: 0, lostNars: 0 },
  },
}

export const sampleUpstream: StoreHealth = {
  ...calm,
  name: 'upstream:https://cache.nixos.org',
  type: 'upstream',
  location: 'https://cache.nixos.org/',
  upstream: {
    lookups: 100,
    hits: 70,
    misses: 20,
    failures: 10,
    skipped: 5,
    isBreakerOpen: false,
    receivedBytes: 123_456,
  },
}
