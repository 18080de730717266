/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': '<rootDir>/test/strip-types.mjs' },
  // Real Nix, real sockets and real child processes on a slow machine: generous, and never a substitute for an event to wait on.
  testTimeout: 60_000,
  maxWorkers: 2,
}
