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
  const { onlyInA, onlyInB, different, policies } = result
  const isSame = [onlyInA, onlyInB, different, policies.a, policies.b].every(list => list.length === 0)
  report(session, { same: isSame, ...result, by: of.map(({ by }) => by) }, () =>
    [
      ...onlyInA.map(one => `- ${nameOf(one)}`),
      ...onlyInB.map(one => `+ ${nameOf(one)}`),
      ...different.map(({ a, b }) => `~ ${nameOf(a)} ${a.root} -> ${nameOf(b)} ${b.root}`),
      ...policies.a.map(policy => `- policy ${policy}`),
      ...policies.b.map(policy => `+ policy ${policy}`),
      ...(isSame ? ['The same packages by the same policies'] : [])
    ].map(safe)
  )
}

function nameOf({ name, version }: ReceiptPackage): string {
  return `${shortNameOf(name)}@${version}`
}

function sourceOf({ from }: ReceiptPackage): string {
  return from.length === 0 ? 'was here' : `from ${from.map(peer => `…${peer.slice(-8)}`).join(', ')}`
}
