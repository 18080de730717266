/**
 * How long each part of a stop may take, in one table, because they add up: their sum must stay below the service
 * manager's own patience (`TimeoutStopSec` of the unit), or the whole is killed in the middle of the last part.
 * Parts run one after the other, in the order of this table.
 */
export const stopBudgets = {
  /**
   * The tunnel first, while the origin still answers: its grace period (the setting `tunnel.gracePeriod`; this is its
   * default) is for downloads under way.
   */
  tunnelGraceMs: 30_000,
  /** A connector that outstays its grace period is killed after 5 s; its last words and its record take the rest. */
  tunnelMarginMs: 10_000,
  /** Then requests of clients on this machine may finish; those that came through the tunnel are over by now. */
  drainMs: 30_000,
  /** Packers, compressors and the store's connections end; they were only waiting for the downloads. */
  closeMs: 10_000,
} as const

/** With the default grace period: below systemd's default of 90 s, with room for the start of the stop. */
export const stopMs = Object.values(stopBudgets).reduce((sum, part) => sum + part, 0)

/** The tunnel's part, with a grace period as configured. */
const tunnelStopMs = (graceMs: number) => graceMs + stopBudgets.tunnelMarginMs

/** Without a tunnel, its part of the time is the downloads' too. */
export const originDrainMs = (tunnel: object | undefined) =>
  stopBudgets.drainMs + (tunnel === undefined ? tunnelStopMs(stopBudgets.tunnelGraceMs) : 0)
