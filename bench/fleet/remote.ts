import type { ChildProcess } from 'node:child_process'
import { messageOf } from '../../protocol/errors.ts'

/** What one process of the bench tells another one to do, with what it answers; by the name of the order. */
export type OrderTable<Table> = {
  readonly [Name in keyof Table]: { readonly params: unknown; readonly answer: unknown }
}

/** From the bench to a process that holds nodes. */
export interface Order<Table> {
  readonly serial: number
  /** Which node of that process. */
  readonly node: number
  readonly name: keyof Table
  readonly params: unknown
}

/** The way back. */
export type Answer =
  { readonly serial: number; readonly answer: unknown } | { readonly serial: number; readonly failure: string }

/** A process that holds nodes, and obeys. */
export class Remote<Table extends OrderTable<Table>> {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #serial = 0

  constructor(child: ChildProcess) {
    this.#child = child
    child.on('message', (answer: Answer) => {
      this.#waiting.get(answer.serial)?.(answer)
      this.#waiting.delete(answer.serial)
    })
    const gone = (): void => {
      for (const [serial, settle] of this.#waiting) settle({ serial, failure: 'the host has ended' })
      this.#waiting.clear()
    }
    child.once('close', gone)
  }

  async order<Name extends keyof Table>(
    node: number,
    name: Name,
    params: Table[Name]['params']
  ): Promise<Table[Name]['answer']> {
    const serial = this.#serial++
    const answered = new Promise<Answer>(resolve => this.#waiting.set(serial, resolve))
    const order: Order<Table> = { serial, node, name, params }
    this.#child.send(order)
    const answer = await answered
    if ('failure' in answer) throw new Error(`node ${node} could not ${String(name)}: ${answer.failure}`)
    return answer.answer
  }
}

/** The other end: obeys until the bench says that it is over, or is gone, and then stops what runs here. */
export function serveOrders<Table>(obey: (order: Order<Table>) => Promise<unknown>, stop: () => Promise<void>): void {
  process.on('message', (order: Order<Table>) => {
    const { serial } = order
    const tell = (answer: Answer): void => void (process.connected && process.send?.(answer))
    obey(order).then(
      answer => tell({ serial, answer }),
      (error: unknown) => tell({ serial, failure: messageOf(error) })
    )
  })
  let stopping: Promise<void> | undefined
  const end = async (): Promise<void> => {
    await stop()
    if (process.connected) process.disconnect()
  }
  // A bench that was killed leaves nobody running.
  for (const event of ['SIGTERM', 'disconnect'] as const) {
    process.once(event, () => {
      stopping ??= end().catch((error: unknown) => {
        console.error('a host did not stop:', error)
        process.exit(1)
      })
    })
  }
}
