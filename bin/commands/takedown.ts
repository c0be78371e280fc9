import type { ApiMethods } from '../../node/services/api.ts'
import { countOf, report, safe } from './print.ts'
import { argument, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { gutter, nextStep, under } from './style.ts'

type TakenDown = ApiMethods['takedown']['result'][number]

/** `ggen-node takedown REF`: this node hands the bytes of one version to nobody any more. */
export async function takedown(session: Session, args: readonly string[], options: Options): Promise<void> {
  const reference = argument(args, 0)
  const params = {
    reference,
    reason: textOption(options, 'reason') ?? '',
    release: false,
    isDeleted: options['delete'] === true
  }
  const taken = await withNode(session, { network: false }, client =>
    client.call('takedown', params, { signal: session.signal })
  )
  report(session, { taken }, () => [
    ...taken.flatMap(one => takenLines(one, reference)),
    gutter('Stays', 'its name, versions and statements: others see and tell them as before', 'same'),
    gutter('Not', 'taken from other nodes: whoever has the bytes may go on handing them out', 'note'),
    nextStep(`ggen-node takedown undo ${reference} takes it back`)
  ])
}

/** `ggen-node takedown undo REF`. */
export async function undo(session: Session, args: readonly string[]): Promise<void> {
  const reference = argument(args, 0)
  const params = { reference, reason: '', release: true, isDeleted: false }
  const released = await withNode(session, { network: false }, client =>
    client.call('takedown', params, { signal: session.signal })
  )
  report(session, { released: released.map(({ root }) => root) }, () => [
    ...released.map(({ root }) => gutter('Released', `${safe(reference)}  ${root}`)),
    under('what is here is handed out again; what was deleted comes from a peer')
  ])
}

/** `ggen-node takedown list`. */
export async function list(session: Session): Promise<void> {
  const taken = await withNode(session, { network: false }, client => client.call('takedownList', {}))
  report(session, { taken }, () =>
    taken.length === 0
      ? ['Nothing is taken down here']
      : taken.flatMap(({ root, reference, reason, time }) => [
          gutter('Withheld', `${safe(reference)}  since ${new Date(time).toISOString()}`, 'note'),
          under(root),
          ...(reason === '' ? [] : [under(`"${safe(reason)}"`)])
        ])
  )
}

function takenLines({ root, withheld, shared, deleted }: TakenDown, reference: string): readonly string[] {
  return [
    gutter('Withheld', `${safe(reference)}  ${countOf(withheld, 'block')}, handed to nobody, not even to this node`),
    under(root),
    ...(shared === 0 ? [] : [under(`${countOf(shared, 'block')} that other packages here need go on`)]),
    ...(deleted === 0 ? [] : [under(`${countOf(deleted, 'block')} deleted from this disk`)])
  ]
}
