import { diffReceipts, verifyReceipt } from '../attestation/verify-receipt.ts'
import type { ReceiptDiff } from '../attestation/verify-receipt.ts'
import { fromUtf8 } from '../protocol/bytes.ts'
import { messageOf, RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { parseReceipt } from '../protocol/policy/receipt.ts'
import type { Receipt } from '../protocol/policy/receipt.ts'
import { codeOf } from '../storage/disk-errors.ts'
import { readSmallFile } from '../storage/small-file.ts'

/** Verifies a receipt with nothing but its file. @throws RegistryError, see `verifyReceipt` */
export async function verifyReceiptFile(file: string): Promise<Receipt> {
  const signed = parseReceipt(await readText(file))
  verifyReceipt(signed)
  return signed.receipt
}

/** Compares what two machines installed. Both receipts are verified first. */
export async function diffReceiptFiles(
  a: string,
  b: string
): Promise<ReceiptDiff & { readonly of: readonly [Receipt, Receipt] }> {
  const both = [await verifyReceiptFile(a), await verifyReceiptFile(b)] as const
  return { ...diffReceipts(...both), of: both }
}

async function readText(file: string): Promise<string> {
  let bytes: Uint8Array
  try {
    bytes = await readSmallFile(file, { maxBytes: LIMITS.policy.receiptBytes, followLinks: true })
  } catch (cause) {
    if (cause instanceof RegistryError) throw cause
    const why = codeOf(cause) === 'ENOENT' ? 'does not exist' : `cannot be read: ${messageOf(cause)}`
    throw new RegistryError('UNKNOWN_FILE', `${file} ${why}`, { cause })
  }
  const text = fromUtf8(bytes)
  if (text === undefined) throw new RegistryError('MALFORMED', `${file} is not valid UTF-8`)
  return text
}
