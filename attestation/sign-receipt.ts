import { encodeReceipt, receiptSignedBytes } from '../protocol/policy/receipt.ts'
import type { Receipt, SignedReceipt } from '../protocol/policy/receipt.ts'
import { sign } from './keys.ts'
import type { Secret } from './keys.ts'

/** A receipt under the key of the node that installed. */
export function signReceipt(receipt: Receipt, secret: Secret): SignedReceipt {
  const payload = encodeReceipt(receipt)
  return { payload, receipt, signature: sign(secret, receiptSignedBytes(payload)) }
}
