/** Progress goes to standard error, so that standard output holds the table alone. */

const started = performance.now()

export function say(text: string): void {
  const seconds = Math.round((performance.now() - started) / 1_000)
  process.stderr.write(
    `bench ${String(Math.floor(seconds / 60)).padStart(2)}:${String(seconds % 60).padStart(2, '0')}  ${text}\n`,
  )
}
