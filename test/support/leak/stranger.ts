import { join } from 'node:path'
import { startChild } from '../child.ts'
import type { Heard, Order, Visit } from '../children/stranger.ts'
import { tempDir } from '../temp-dir.ts'
import type { Rumours } from './questions.ts'

export type { Heard, Visit }

/** A stranger in a process of his own. All he receives is in his recording. */
export interface Stranger {
  readonly recording: string
  /** Joins the public swarm. */
  host(
    listen: readonly string[],
    registries: readonly string[],
    psk?: string
  ): Promise<{ peerId: string; addresses: string[] }>
  /** Connects to an address and asks everything; with `greets`, he introduces himself first. */
  visit(address: string, options?: { readonly greets?: boolean; readonly rumours?: Rumours }): Promise<Visit>
  /** Which ports are open; those are talked to without any handshake. */
  knock(host: string, ports: readonly number[]): Promise<readonly number[]>
  mdns(address: string, tags: readonly string[]): Promise<void>
  sink(address: string, ports: readonly number[]): Promise<void>
  report(): Promise<Heard>
  end(): Promise<void>
}

export const NO_RUMOURS: Rumours = { cids: [], registries: [], facts: [], topics: [], protocols: [] }

/** @param prefix what goes before the command, for a namespace */
export async function startStranger(label: string, prefix: readonly string[] = []): Promise<Stranger> {
  const recording = join(await tempDir('stranger'), label)
  const child = startChild('stranger', [recording], prefix)
  await child.line()
  const obey = async (order: Order): Promise<unknown> => {
    child.send(JSON.stringify(order))
    const done = JSON.parse(await child.line()) as { readonly error?: string }
    if (done.error !== undefined) throw new Error(`stranger ${label}: ${done.error}`)
    return done
  }
  return {
    recording,
    host: async (listen, registries, psk) =>
      (await obey({ do: 'host', listen, registries, ...(psk === undefined ? {} : { psk }) })) as never,
    visit: async (address, { greets = true, rumours = NO_RUMOURS } = {}) =>
      (await obey({ do: 'visit', address, greets, rumours })) as Visit,
    knock: async (host, ports) => ((await obey({ do: 'knock', host, ports })) as { open: readonly number[] }).open,
    mdns: async (address, tags) => void (await obey({ do: 'mdns', address, tags })),
    sink: async (address, ports) => void (await obey({ do: 'sink', address, ports })),
    report: async () => (await obey({ do: 'report' })) as Heard,
    end: async () => void (await child.kill())
  }
}
