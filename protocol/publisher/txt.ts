import { compareText } from '../bytes.ts'
import { parsePrincipal } from '../did.ts'
import type { Principal } from '../did.ts'
import { isRegistryError, RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'

const PREFIX = 'ggen-key='

/** What the owner of a domain writes into its zone for one key: `ggen-key=did:key:z6Mk…`. */
export function txtOf(key: Principal): string {
  return `${PREFIX}${key}`
}

/**
 * The keys in an answer: TXT records, each the chunks that it came in. Records that say something else are for other programs.
 * A record is taken as a whole or not at all: nothing behind the key, nothing before it.
 *
 * Attack: an answer of a thousand records, in which everybody finds a key. Beyond the bounds it says nothing.
 * @throws RegistryError LIMIT_EXCEEDED
 */
export function keysInTxt(records: readonly (readonly string[])[]): readonly Principal[] {
  const { records: most, answerChars, keysPerDomain } = LIMITS.publisher
  let chars = 0
  for (const record of records) for (const chunk of record) chars += chunk.length
  if (records.length > most || chars > answerChars)
    throw new RegistryError('LIMIT_EXCEEDED', `an answer has at most ${most} records and ${answerChars} characters`)
  const keys = new Set(records.flatMap(record => keyIn(record.join('')) ?? []))
  if (keys.size > keysPerDomain)
    throw new RegistryError('LIMIT_EXCEEDED', `a domain names at most ${keysPerDomain} keys`)
  return [...keys].toSorted(compareText)
}

function keyIn(text: string): Principal | undefined {
  if (!text.startsWith(PREFIX)) return undefined
  try {
    return parsePrincipal(text.slice(PREFIX.length))
  } catch (error) {
    if (isRegistryError(error)) return undefined
    throw error
  }
}
