import { diffReceiptFiles, verifyReceiptFile } from '../../node/receipt-files.ts'
import { shortNameOf } from '../../protocol/package-name.ts'
import type { ReceiptPackage } from '../../protocol/policy/receipt.ts'
import { countOf, report, safe } from './print.ts'
import { argument } from './run.ts'
import type { Session } from './run.ts'
import { gutter, under } from './style.ts'

/** `ggen-node receipt verify`. */
export async function verify(session: Session, args: readonly string[]): Promise<void> {
  const receipt = await verifyReceiptFile(argument(args, 0))
  const { by, time, policies, packages } = receipt
  const excepted = packages.flatMap(one =>
    one.rules
      .filter(({ outcome }) => outcome === 'excepted')
      .map(
        ({ code, exception }) => `${nameOf(one)}: ${code}, until ${exception?.until ?? ''}: ${exception?.reason ?? ''}`
      )
  )
  report(session, { receipt }, () => [
    gutter('Verified', `${countOf(packages.length, 'package')}, installed at ${new Date(time).toISOString()}`),
    under(safe(`by ${by}`)),
    ...policies.map(({ name, digest }) => under(safe(`policy ${name} ${digest}`))),
    ...packages.map(one => under(safe(`${nameOf(one)}  ${one.root}  ${sourceOf(one)}`))),
    ...excepted.map(text => gutter('Excepted', safe(text), 'note'))
  ])
}

/** `ggen-node receipt diff`. */
export async function diff(session: Session, args: readonly string[]): Promise<void> {
  const { of, ...result } = await diffReceiptFiles(argument(args, 0), argument(args, 1))
  const { onlyInA, onlyInB, different, policies, exceptions } = result
  const lists = [onlyInA, onlyInB, different, policies.a, policies.b, exceptions.a, exceptions.b]
  const isSame = lists.every(list => list.length === 0)
  report(session, { same: isSame, ...result, by: of.map(({ by }) => by) }, () =>
    [
      // Attack: a package of the same name from another registry. What is called alike is told apart by the id of that.
      ...onlyInA.map(one => `- ${nameOf(one)}  ${one.registry}`),
      ...onlyInB.map(one => `+ ${nameOf(one)}  ${one.registry}`),
      ...different.map(({ a, b }) => `~ ${nameOf(a)} ${a.root} -> ${nameOf(b)} ${b.root}`),
      ...policies.a.map(policy => `- policy ${policy}`),
      ...policies.b.map(policy => `+ policy ${policy}`),
      ...exceptions.a.map(one => `- ${excusedText(one)}`),
      ...exceptions.b.map(one => `+ ${excusedText(one)}`),
      ...(isSame ? ['The same packages by the same policies'] : [])
    ].map(safe)
  )
}

type Excused = Awaited<ReturnType<typeof diffReceiptFiles>>['exceptions']['a'][number]

function excusedText({ rule, policy, until, who, reason, ...one }: Excused): string {
  return `exception of ${nameOf(one)} from ${rule} (${policy}) until ${until} by ${who}: ${reason}`
}

function nameOf({ name, version }: Pick<ReceiptPackage, 'name' | 'version'>): string {
  return `${shortNameOf(name)}@${version}`
}

function sourceOf({ from }: ReceiptPackage): string {
  return from.length === 0 ? 'was here' : `from ${from.map(peer => `…${peer.slice(-8)}`).join(', ')}`
}
