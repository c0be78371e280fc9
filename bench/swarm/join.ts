import { join } from 'node:path'
import { initHome } from '../../node/home.ts'
import { LISTENING, START, startDaemon } from '../daemon.ts'
import type { Daemon } from '../daemon.ts'
import { below, informative, median, MIN_RUNS, type Figure } from '../report.ts'
import type { Started, Workbench } from '../workbench.ts'
import { ALIAS } from './orders.ts'
import { writePackage } from './packages.ts'

const BYTES = 1024 * 1024
const TARGET_MS = 5_000

interface Times {
  readonly joinMs: number
  readonly installMs: number
}

/**
 * From the token to the first package, as a person does it: `join`, then `install`, each a command of the built package.
 * The reference is the same package from a public registry: `registry add`, then `install`. Everybody is new each time.
 */
export async function* joinFigures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const names = ['swarm/join', 'swarm/join-alone', 'swarm/join-no-daemon']
  if (!names.some(name => workbench.wants(name))) return
  const owner = await startDaemon(workbench)
  const folder = await workbench.tempDir()
  await writePackage(folder, { name: 'tool', bytes: BYTES })
  await owner.client.call('swarmCreate', { name: ALIAS })
  await owner.client.call('publish', { folder, registry: owner.registry })
  await owner.client.call('publish', { folder, registry: ALIAS })
  const here: Times[] = []
  const reference: Times[] = []
  const alone: Times[] = []
  // The first run warms up and is not counted.
  for (let run = 0; run <= MIN_RUNS; run++) {
    const enter = await joining(owner)
    here.push(await withDaemon(workbench, enter))
    reference.push(await withDaemon(workbench, following(owner)))
    if (workbench.wants('swarm/join-no-daemon')) alone.push(await timed(workbench, await newHome(workbench), enter))
  }
  const input = `${ALIAS}: one package of ${BYTES} bytes; join and install, two commands; reference: a public registry`
  const value = middle(here, total)
  yield below({ bench: 'swarm/join', value, unit: 'ms', reference: middle(reference, total), input }, TARGET_MS)
  const joinMs = middle(here, times => times.joinMs)
  const addMs = middle(reference, times => times.joinMs)
  const part = 'the first of the two commands; reference: registry add'
  yield informative({ bench: 'swarm/join-alone', value: joinMs, unit: 'ms', reference: addMs, input: part })
  if (alone.length === 0) return
  const none = 'no node runs at the newcomer: each command is a node of its own'
  yield below({ bench: 'swarm/join-no-daemon', value: middle(alone, total), unit: 'ms', input: none }, TARGET_MS)
}

/** How somebody gets in, and what is installed then. */
interface Entrance {
  readonly enter: readonly string[]
  readonly reference: string
}

async function joining({ client }: Daemon): Promise<Entrance> {
  // Two for the two ways to use it in one run; nobody is given a token twice.
  const { token } = await client.call('invite', { registry: ALIAS, uses: 2 })
  return { enter: ['join', token], reference: `${ALIAS}:tool` }
}

function following({ registry, address }: Daemon): Entrance {
  return { enter: ['registry', 'add', registry, '--alias', 'bench', '--peer', address], reference: 'bench:tool' }
}

async function withDaemon(workbench: Workbench, entrance: Entrance): Promise<Times> {
  const home = await newHome(workbench)
  const daemon: Started = await workbench.start([await workbench.builtCli(), ...START], home, LISTENING)
  try {
    return await timed(workbench, home, entrance)
  } finally {
    await daemon.stop()
  }
}

async function timed(workbench: Workbench, home: string, { enter, reference }: Entrance): Promise<Times> {
  const joinMs = await command(workbench, home, enter)
  const project = join(home, 'project')
  const installMs = await command(workbench, home, ['install', reference, '--dir', project])
  return { joinMs, installMs }
}

async function command(workbench: Workbench, home: string, args: readonly string[]): Promise<number> {
  const { code, stderr, stdout, ms } = await workbench.run([await workbench.builtCli(), '--json', ...args], home)
  if (code !== 0) throw new Error(`${args[0]} failed with ${code}: ${stderr}${stdout}`)
  return ms
}

async function newHome(workbench: Workbench): Promise<string> {
  const home = join(await workbench.tempDir(), 'home')
  await initHome(home)
  return home
}

function total({ joinMs, installMs }: Times): number {
  return joinMs + installMs
}

function middle(all: readonly Times[], of: (times: Times) => number): number {
  return median(all.slice(1).map(of))
}
