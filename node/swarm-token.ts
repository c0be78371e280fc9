import { MEMBERSHIP_LIMITS } from '../protocol/membership/limits.ts'
import { parseToken } from '../protocol/membership/token.ts'
import { environmentToken } from './config.ts'
import { readSecretText } from './secret-file.ts'

/** More than a token has, for the lines that a mail program has broken it into. */
export const TOKEN_TEXT_BYTES = 2 * MEMBERSHIP_LIMITS.tokenChars

/** The token that the environment names; undefined when it names none. @throws RegistryError USAGE | UNKNOWN_FILE | MALFORMED */
export async function tokenOfEnvironment(): Promise<string | undefined> {
  const named = environmentToken()
  if (named === undefined) return undefined
  return 'token' in named ? oneToken(named.token) : readTokenFile(named.file)
}

/**
 * The same, where it holds a member's own key: every command is that member then. An invite is for `join` alone.
 * @throws RegistryError USAGE | UNKNOWN_FILE | MALFORMED
 */
export async function memberOfEnvironment(): Promise<{ readonly token?: string }> {
  const token = await tokenOfEnvironment()
  return token !== undefined && parseToken(token).kind === 'member' ? { token } : {}
}

/** @throws RegistryError MALFORMED | UNKNOWN_FILE | LIMIT_EXCEEDED */
export async function readTokenFile(file: string): Promise<string> {
  return oneToken(await readSecretText(file, TOKEN_TEXT_BYTES))
}

/**
 * A token as somebody handed it over, without the blanks and line ends that came on its way. What is wrong with it is said
 * without it: it is a secret, and so may be what was pasted in its place.
 *
 * @throws RegistryError MALFORMED
 */
export function oneToken(text: string): string {
  const token = text.replace(/\s+/g, '')
  parseToken(token)
  return token
}
