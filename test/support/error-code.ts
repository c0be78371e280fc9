import { RegistryError } from '../../protocol/errors.ts'

/** The code of the RegistryError that a call throws, or `none`. Any other error goes on: only ours may cross a folder. */
export function codeOf(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    if (error instanceof RegistryError) return error.code
    throw error
  }
  return 'none'
}

/** The same for a promise. */
export async function codeOfAsync(call: () => Promise<unknown>): Promise<string> {
  try {
    await call()
  } catch (error) {
    if (error instanceof RegistryError) return error.code
    throw error
  }
  return 'none'
}
