import { resolve as resolvePath } from 'node:path'
import type { Conflicts, OpenFork } from '../../node/services/authority/conflicts.ts'
import type { NamedKey } from '../../node/services/publisher/named-key.ts'
import { verifyProofFile } from '../../node/proof-file.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { report, safe, table } from './print.ts'
import { keyText } from './publisher-text.ts'
import { argument, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { authoredLines, signingParams, textParam } from './signed.ts'
import { gutter, nextStep, under } from './style.ts'

/** `ggen-node conflict list`. */
export async function list(session: Session, options: Options): Promise<void> {
  const params = textParam(options, 'registry')
  const found = await withNode(session, { network: false }, client => client.call('conflictList', params))
  report(session, found, () => conflictLines(found, found.publishers))
}

export function conflictLines({ versions, forks }: Conflicts, publishers: readonly NamedKey[]): readonly string[] {
  if (versions.length + forks.length === 0) return [gutter('Clean', 'no version and no place is in conflict', 'same')]
  return [
    ...versions.flatMap(({ name, version, contents }) => [
      gutter('Conflict', `${name}@${version}  ${contents.length} contents, none is served`, 'bad'),
      ...table(contents.map(({ cid, fact, by }) => [cid, fact, keyText(by, publishers)])).map(under)
    ]),
    ...forks.flatMap(fork => [gutter('Fork', forkText(fork, publishers), 'bad'), ...fork.facts.map(under)]),
    nextStep('ggen-node resolve NAME@VERSION --keep FACT, ggen-node resolve --fork FACT --keep FACT')
  ]
}

function forkText({ subject, author, chain, seq, facts }: OpenFork, publishers: readonly NamedKey[]): string {
  return `${facts.length} statements about ${subject} at position ${seq} of chain ${chain.slice(0, 8)}… by ${keyText(author, publishers)}`
}

/** `ggen-node resolve`. */
export async function resolve(session: Session, args: readonly string[], options: Options): Promise<void> {
  const [reference] = args
  const fork = textOption(options, 'fork')
  const keep = textOption(options, 'keep') ?? ''
  if ((reference === undefined) === (fork === undefined))
    throw new RegistryError('USAGE', 'name a version in conflict, or a fork with --fork')
  const signing = signingParams(options)
  const result = await withNode(session, { network: false }, client =>
    fork === undefined
      ? client.call('resolve', { ...signing, reference: reference ?? '', keep })
      : client.call('resolveFork', { ...signing, ...textParam(options, 'registry'), fork, keep })
  )
  report(session, result, () => authoredLines(result))
}

/** `ggen-node proof export`. */
export async function exportProof(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = {
    fact: argument(args, 0),
    file: resolvePath(argument(args, 1)),
    ...textParam(options, 'registry')
  }
  const result = await withNode(session, { network: false }, client => client.call('proofExport', params))
  report(session, result, () => [
    gutter('Wrote', safe(result.file)),
    under(forkText(result.fork, [])),
    nextStep('anybody checks it with ggen-node proof verify FILE')
  ])
}

/** `ggen-node proof verify`: the exit code is 0 only when the file proves what it says. */
export async function verifyProof(session: Session, args: readonly string[]): Promise<void> {
  const fork = await verifyProofFile(resolvePath(argument(args, 0)))
  const { registry, subject, author, chain, seq, facts } = fork
  report(session, { proven: true, kind: 'fork', ...fork }, () => [
    gutter('Proven', `whoever holds the key ${author} signed ${facts.length} statements`),
    under(`for one place: position ${seq} of chain ${chain}, about ${subject}, in registry ${registry}`),
    ...facts.map(under),
    gutter('Not proven', 'which of them was meant, when they were signed, or whose hands the key was in,', 'note'),
    under('nor that the registry ever gave this key a role')
  ])
}
