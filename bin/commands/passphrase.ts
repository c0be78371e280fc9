import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { readPassphraseFile } from '../../node/key-ring.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { textOption } from './run.ts'
import type { Options } from './run.ts'

/** The passphrase: the first line of a file, or what a person types without it being shown. */
export async function passphraseFor(options: Options, question: string): Promise<string> {
  const file = textOption(options, 'passphraseFile')
  if (file !== undefined) return readPassphraseFile(file)
  if (!process.stdin.isTTY) {
    throw new RegistryError('USAGE', 'no terminal to ask for the passphrase', { next: 'use --passphrase-file FILE' })
  }
  return askHidden(question)
}

/** What a person types at the terminal, without it being shown. */
export async function askHidden(question: string): Promise<string> {
  process.stderr.write(question)
  // The terminal echoes what readline writes, so readline writes nowhere.
  const output = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output, terminal: true })
  try {
    return await terminal.question('')
  } finally {
    terminal.close()
    process.stderr.write('\n')
  }
}
