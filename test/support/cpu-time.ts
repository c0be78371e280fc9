/**
 * What a call costs, in milliseconds of this thread's own work: what other threads and programs take of the machine at the
 * same time is not in it, so that a limit can be near what an honest machine takes.
 */
export function cpuMs(call: () => unknown): number {
  const before = process.threadCpuUsage()
  call()
  return since(before)
}

/** The same of a call that waits: all that this thread did meanwhile is in it. */
export async function cpuMsOf(call: () => Promise<unknown>): Promise<number> {
  const before = process.threadCpuUsage()
  await call()
  return since(before)
}

function since(before: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(before)
  return (user + system) / 1_000
}
