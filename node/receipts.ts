import { createHash } from 'node:crypto'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LIMITS } from '../protocol/limits.ts'
import { encodeStatement, formatReceipt, receiptName } from '../protocol/policy/receipt.ts'
import type { SignedReceipt } from '../protocol/policy/receipt.ts'
import { replaceFile } from '../storage/durable.ts'
import type { NodeParts } from './parts.ts'
import { receipts } from './services/policy/receipt.ts'
import type { WriteReceipt } from './services/policy/receipt.ts'
import { releaseBytes } from './services/project/stated-release.ts'

/** In a project: what its installs did. */
const RECEIPTS = '.ggen/receipts'

type Composing = Pick<NodeParts, 'facts' | 'policy'> & {
  readonly clock: Pick<NodeParts['clock'], 'now'>
  readonly version: string
}

/** What writes receipts on this node. */
export function composeReceipts({ clock, facts, policy, version }: Composing): WriteReceipt {
  const { signer } = policy
  return receipts({
    by: signer.principal,
    program: `ggen-node ${version}`,
    now: () => clock.now(),
    statement: async (registry, said) => {
      const bytes = await releaseBytes(facts, registry, said)
      return bytes === undefined ? null : encodeStatement(bytes)
    },
    write: (project, receipt) => writeReceipt(project, signer.signReceipt(receipt))
  })
}

/** What `receiptName` makes: nothing else in there is ours to delete. */
const RECEIPT_NAME = /^\d{4}-\d{2}-\d{2}T[\d-]+Z-[0-9a-f]{8}\.json$/

/** Crash state: a receipt may be missing, and then the install is one that nobody can show the reasons of; no half of one stays. */
async function writeReceipt(project: string, signed: SignedReceipt): Promise<string> {
  const folder = join(project, RECEIPTS)
  await mkdir(folder, { recursive: true })
  const name = receiptName(signed.receipt.time, createHash('sha256').update(signed.payload).digest())
  await replaceFile(join(folder, name), formatReceipt(signed))
  const names = (await readdir(folder)).filter(each => RECEIPT_NAME.test(each)).toSorted()
  for (const old of names.slice(0, -LIMITS.policy.receipts)) await rm(join(folder, old), { force: true })
  return `${RECEIPTS}/${name}`
}
