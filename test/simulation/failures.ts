import { isRegistryError } from '../../protocol/errors.ts'
import { MachineDied } from './disk.ts'

/** A write that failed as writes fail: the node says so and goes on. */
export function isFailedWrite(error: unknown): boolean {
  return error instanceof MachineDied || (isRegistryError(error) && error.code === 'DISK_FULL')
}

/** What an author is told whom the registry does not let, or who has not heard of the package yet. */
export function isRefused(error: unknown): boolean {
  return isRegistryError(error) && (error.code === 'NOT_AUTHORIZED' || error.code === 'UNKNOWN_PACKAGE')
}

/** A verdict in the trace. */
export function wordsOf(admission: { readonly verdict: string; readonly reason?: string }): string {
  return admission.reason === undefined ? admission.verdict : `${admission.verdict} ${admission.reason}`
}
