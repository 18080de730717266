/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': '<rootDir>/test/strip-types.mjs' },
  // Real Nix, real sockets and real child processes on a slow machine: generous even on a busy one, and never a substitute for an event to wait on.
  testTimeout: 600_000,
  maxWorkers: 2,
  // A worker that has the processor taken from it is not one that hangs.
  workerGracefulExitTimeout: 60_000,
}
