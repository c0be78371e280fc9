import { execFile, spawnSync } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe } from 'vitest'
import { startDaemon } from './daemon.ts'
import type { Daemon, DaemonOptions } from './daemon.ts'
import { runCli, startCli } from './spawn-cli.ts'
import type { CliOptions, CliProcess, CliResult } from './spawn-cli.ts'

/**
 * Machines and networks of their own inside this one: network namespaces, cables (veth) and switches (bridges). Nothing is
 * made in the namespace of the machine itself, so its network is as it was, whatever a test does.
 *
 * Names are `ggen-<process id>-<number>`: what a killed run left behind is found by that and removed by the next one.
 */
export interface Machine {
  readonly label: string
  /** What goes before a command to run it here: `ip netns exec NAME`, which becomes the command, so its process id stays. */
  readonly prefix: readonly string[]
  /** The address on the first switch it was plugged into. */
  readonly address: string
  /** Plugs it into a switch, as device `eth0`, `eth1`…, with an address of the switch's network. */
  plug(into: Switch, host: number): Promise<Port>
  /** Everything that has no nearer route goes to this address; multicast too. */
  routeBy(gateway: string): Promise<void>
  /** Names are asked of this address; without it no name server is known. */
  resolveAt(nameserver: string): Promise<void>
  /** Lets packets through and gives those that leave by a port the machine's own address; nothing comes in there unasked. */
  masquerade(outside: Port): Promise<void>
  /** Runs a program to its end and returns what it printed; fails when it fails. */
  run(command: string, ...args: readonly string[]): Promise<string>
  runCli(args: readonly string[], options?: CliOptions): Promise<CliResult>
  startCli(args: readonly string[], options?: CliOptions): Promise<CliProcess>
  /** `ggen-node start`, listening on the machine's address unless told otherwise. */
  startDaemon(options?: DaemonOptions): Promise<Daemon>
  /** Pulls a cable; packets are lost from then on until it is plugged in again. */
  setCable(port: Port, plugged: boolean): Promise<void>
}

export interface Port {
  /** `eth0` */
  readonly device: string
  /** `10.0.1.2` */
  readonly address: string
}

/** A network of 254 addresses that machines are plugged into: `10.0.N`, or another one that is not private. */
export interface Switch {
  readonly network: string
  readonly namespace: string
}

const run = promisify(execFile)
const made: string[] = []
let count = 0

// The hook of spawn-cli, which ends what runs inside, was registered before this one and so runs after it: a namespace lives on
// without its name until its last process is gone.
afterAll(async () => {
  for (const namespace of made.splice(0).toReversed()) await remove(namespace)
})

async function remove(namespace: string): Promise<void> {
  await run('ip', ['netns', 'del', namespace]).catch(() => {}) // it may be gone already
  await rm(join('/etc/netns', namespace), { recursive: true, force: true })
}

/** Why no namespaces can be had here; undefined where they can. */
export const NO_NAMESPACES: string | undefined = whyNot([], '')

/** Whether the kernel translates addresses for us (`nft`, masquerade). */
export const CAN_MASQUERADE: boolean = NO_NAMESPACES === undefined && whyNot(['nft'], NAT('eth0')) === undefined

/** A title and a suite like `describe`; where it cannot run it is reported as skipped, and the title says why. */
export function describeWithNetns(title: string, tools: readonly string[], suite: () => void): void {
  const reason = NO_NAMESPACES ?? tools.map(missing).find(found => found !== undefined)
  if (reason === undefined) describe(title, suite)
  else describe.skip(`${title} (skipped: ${reason})`, suite)
}

function missing(tool: string): string | undefined {
  return spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0 ? undefined : `${tool} is not installed`
}

function whyNot(tools: readonly string[], rules: string): string | undefined {
  const lacking = ['ip', ...tools].map(missing).find(found => found !== undefined)
  if (lacking !== undefined) return lacking
  const probe = `ggen-${process.pid}-probe`
  const added = spawnSync('ip', ['netns', 'add', probe], { encoding: 'utf8' })
  if (added.status !== 0) return `network namespaces are not permitted: ${added.stderr.trim()}`
  try {
    const inside = ['netns', 'exec', probe]
    const tried =
      rules === ''
        ? spawnSync('ip', [...inside, 'ip', 'link', 'add', 'br0', 'type', 'bridge'], { encoding: 'utf8' })
        : spawnSync('ip', [...inside, 'nft', '-f', '-'], { encoding: 'utf8', input: rules })
    return tried.status === 0 ? undefined : tried.stderr.trim()
  } finally {
    spawnSync('ip', ['netns', 'del', probe])
  }
}

/** One address for all that is behind a port; only answers come back in. */
function NAT(outside: string): string {
  return `table ip ggen {
  chain leave {
    type nat hook postrouting priority 100; policy accept;
    oifname "${outside}" masquerade
  }
  chain through {
    type filter hook forward priority 0; policy accept;
    iifname "${outside}" ct state established,related accept
    iifname "${outside}" drop
  }
}
`
}

async function namespace(): Promise<string> {
  if (count === 0) await removeLeftovers()
  const name = `ggen-${process.pid}-${count++}`
  await run('ip', ['netns', 'add', name])
  made.push(name)
  await run('ip', ['-n', name, 'link', 'set', 'lo', 'up'])
  // The kernel's own neighbour discovery is no traffic of ours.
  await run('ip', ['netns', 'exec', name, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1']).catch(() => {})
  return name
}

/** Removes what runs that were killed have left: their process is no more. */
async function removeLeftovers(): Promise<void> {
  const { stdout } = await run('ip', ['netns', 'list'])
  for (const line of stdout.split('\n')) {
    const [, name, pid] = /^(ggen-(\d+)-\w+)/.exec(line) ?? []
    if (name !== undefined && pid !== undefined && !isAlive(Number(pid))) await remove(name)
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/**
 * A switch with nothing plugged in.
 * @param range `10.0` for a site's own addresses, `11.0` for what programs take for addresses of the internet
 */
export async function newSwitch(range: '10.0' | '11.0' = '10.0'): Promise<Switch> {
  const name = await namespace()
  await run('ip', ['-n', name, 'link', 'add', 'br0', 'type', 'bridge'])
  await run('ip', ['-n', name, 'link', 'set', 'br0', 'up'])
  return { network: `${range}.${count}`, namespace: name }
}

/** A machine with no cable in it. */
export async function newMachine(label: string): Promise<Machine> {
  const name = await namespace()
  const ports: Port[] = []
  const prefix = ['ip', 'netns', 'exec', name]
  const inside = async (...args: readonly string[]): Promise<string> =>
    (await run('ip', ['netns', 'exec', name, ...args])).stdout
  const ip = async (...args: readonly string[]): Promise<void> => void (await run('ip', ['-n', name, ...args]))
  const home = (): string => ports[0]?.address ?? '127.0.0.1'
  return {
    label,
    prefix,
    get address() {
      return home()
    },
    plug: async (into, host) => {
      const port = { device: `eth${ports.length}`, address: `${into.network}.${host}` }
      const far = `port${host}`
      await ip('link', 'add', port.device, 'type', 'veth', 'peer', 'name', far, 'netns', into.namespace)
      await run('ip', ['-n', into.namespace, 'link', 'set', far, 'master', 'br0', 'up'])
      await ip('addr', 'add', `${port.address}/24`, 'broadcast', '+', 'dev', port.device)
      await ip('link', 'set', port.device, 'up')
      // Multicast DNS needs a route even where nothing lies beyond the switch.
      if (ports.length === 0) await ip('route', 'add', '224.0.0.0/4', 'dev', port.device)
      ports.push(port)
      return port
    },
    routeBy: gateway => ip('route', 'replace', 'default', 'via', gateway),
    resolveAt: async nameserver => {
      await mkdir(join('/etc/netns', name), { recursive: true })
      await writeFile(
        join('/etc/netns', name, 'resolv.conf'),
        `nameserver ${nameserver}\noptions attempts:1 timeout:1\n`
      )
    },
    masquerade: async outside => {
      await inside('sysctl', '-qw', 'net.ipv4.ip_forward=1')
      await inside('sh', '-c', `nft -f - <<'EOF'\n${NAT(outside.device)}EOF`)
    },
    run: (command, ...args) => inside(command, ...args),
    runCli: (args, options) => runCli(args, { ...options, prefix }),
    startCli: (args, options) => startCli(args, { ...options, prefix }),
    startDaemon: options => startDaemon({ listen: [`/ip4/${home()}/tcp/0`], ...options, prefix }),
    setCable: (port, plugged) => ip('link', 'set', port.device, plugged ? 'up' : 'down')
  }
}
