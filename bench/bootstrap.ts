import { LISTENING, START, startDaemon } from './daemon.ts'
import { DEEP, filledHome } from './filled-home.ts'
import { below, type Figure } from './report.ts'
import type { Workbench } from './workbench.ts'

const PATIENCE_MS = 180_000

/** A new node takes over a large registry from the one peer it knows, each in a process of its own. */
export async function* bootstrapFigures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const names = ['sync/bootstrap', 'sync/bootstrap-s', 'sync/bootstrap-mb']
  if (!names.some(name => workbench.wants(name))) return
  const { home, registry, facts } = await filledHome(workbench, DEEP)
  const full = await workbench.start([await workbench.builtCli(), ...START], home, LISTENING)
  const { addresses } = JSON.parse(full.line) as { addresses: readonly string[] }
  const empty = await startDaemon(workbench, { registry, args: ['--bootstrap', addresses[0] ?? ''] })
  const listening = performance.now()
  await empty.client.call('waitFor', { registry, facts, peers: 0, kept: false, timeoutMs: PATIENCE_MS })
  const seconds = (empty.readyMs + performance.now() - listening) / 1000
  const { registries } = await empty.client.call('status', {})
  const releases = registries.find(({ id }) => id === registry)?.releases
  if (releases !== DEEP.packages * DEEP.releases) throw new Error(`only ${releases} releases count`)
  const input = `${releases} releases of ${DEEP.packages} packages, ${facts} facts`
  yield below({ bench: 'sync/bootstrap-s', value: seconds, unit: 's', input }, 40)
  yield below({ bench: 'sync/bootstrap-mb', value: await empty.peakMb(), unit: 'MB', input }, 400)
}
