import { join } from 'node:path'
import type { ApiMethods, Method } from '../../node/services/api.ts'
import { Remote } from '../fleet/remote.ts'
import type { Workbench } from '../workbench.ts'
import { ALIAS } from './orders.ts'
import type { AnyCall, Orders } from './orders.ts'

/** One node of a private swarm. */
export interface Member {
  readonly index: number
  readonly home: string
  readonly order: <N extends keyof Orders>(name: N, params: Orders[N]['params']) => Promise<Orders[N]['answer']>
  readonly call: <M extends Method>(method: M, params: ApiMethods[M]['params']) => Promise<ApiMethods[M]['result']>
}

/** Processes that hold nodes; a node is a data directory and a place in one of them. */
export class Fleet {
  readonly #remotes: readonly Remote<Orders>[]
  readonly #folder: string
  #count = 0

  private constructor(remotes: readonly Remote<Orders>[], folder: string) {
    this.#remotes = remotes
    this.#folder = folder
  }

  static async open(workbench: Workbench, processes: number): Promise<Fleet> {
    const script = join(import.meta.dirname, 'host.ts')
    const remotes = Array.from({ length: processes }, () => new Remote<Orders>(workbench.fork(script)))
    return new Fleet(remotes, await workbench.tempDir())
  }

  /** A node that runs and is in no swarm but the public one, in which it knows nobody. */
  async newcomer(keep: 'all' | 'none' = 'none'): Promise<Member> {
    const index = this.#count++
    const remote = this.#remotes[index % this.#remotes.length]
    if (remote === undefined) throw new Error('a fleet has processes')
    const home = join(this.#folder, String(index))
    const order: Member['order'] = (name, params) => remote.order(index, name, params)
    const call: Member['call'] = async (method, params) =>
      // A method and its own params, which the compiler does not see in a union of all of them.
      (await order('call', { method, params } as unknown as AnyCall)) as never
    await order('open', { home, keep })
    return { index, home, order, call }
  }

  /** A folder that no node has. */
  folder(name: string): string {
    return join(this.#folder, name)
  }
}

/** A private registry of one owner, and the token with which others come in. */
export async function found(
  fleet: Fleet,
  { uses, role, keep }: { readonly uses: number; readonly role: string; readonly keep?: 'all' }
): Promise<Founded> {
  const founder = await fleet.newcomer(keep)
  await founder.call('swarmCreate', { name: ALIAS })
  const { token } = await founder.call('invite', { registry: ALIAS, role, uses })
  return { founder, token }
}

export interface Founded {
  readonly founder: Member
  readonly token: string
}
