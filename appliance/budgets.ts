/**
 * How long each part of a stop may take, in one table, because they add up: their sum must stay below the service manager's own patience
 * (systemd's TimeoutStopSec, 90 s unless set), or the whole is killed in the middle of the last part.
 * Parts run one after the other, in the order of this table.
 */
export const stopBudgets = {
  /** Downloads under way may finish. Long enough for a few hundred MB on a home uplink; a client cut off later resumes from the next start. */
  drainMs: 60_000,
  /** Packers, compressors and the store's connections end; they were only waiting for the downloads. */
  closeMs: 10_000,
} as const

/** Below systemd's default of 90 s, with room for the start of the stop. */
export const stopMs = Object.values(stopBudgets).reduce((sum, part) => sum + part, 0)
