import { RegistryError } from '../protocol/errors.ts'
import { MEMBERSHIP_LIMITS } from '../protocol/membership/limits.ts'
import { environmentToken } from './config.ts'
import { readSecretText } from './secret-file.ts'

/** More than a token has, for the lines that a mail program has broken it into. */
export const TOKEN_TEXT_BYTES = 2 * MEMBERSHIP_LIMITS.tokenChars

/** The token that the environment names; undefined when it names none. @throws RegistryError USAGE | UNKNOWN_FILE */
export async function tokenOfEnvironment(): Promise<string | undefined> {
  const named = environmentToken()
  if (named === undefined) return undefined
  return 'token' in named ? oneToken(named.token) : readTokenFile(named.file)
}

/** @throws RegistryError USAGE | UNKNOWN_FILE | LIMIT_EXCEEDED */
export async function readTokenFile(file: string): Promise<string> {
  return oneToken(await readSecretText(file, TOKEN_TEXT_BYTES))
}

/**
 * A token as somebody handed it over, without the blanks and line ends that came on its way. Whether it is a good one is
 * said by its parser. What is wrong is said without it: it is a secret, and so may be what was pasted in its place.
 *
 * @throws RegistryError USAGE
 */
export function oneToken(text: string): string {
  const token = text.replace(/\s+/g, '')
  if (/^ggen1[A-Za-z0-9_-]+$/.test(token) && token.length <= MEMBERSHIP_LIMITS.tokenChars) return token
  throw new RegistryError('USAGE', token === '' ? 'the token is empty' : 'this is no token', {
    next: 'a token is what ggen-node invite prints: one line that begins with ggen1'
  })
}
