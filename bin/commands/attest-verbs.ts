import type { Command } from 'commander'
import { Option } from 'commander'
import { signing } from './authority-verbs.ts'
import { action } from './run.ts'

/** The commands about what people say of releases. What each does is loaded when it runs. */
export function addAttestVerbs(program: Command): void {
  signing(program.command('attest'))
    .description('say something of a release, signed: an in-toto statement in a DSSE envelope')
    .argument('<reference>', '[registry:]name[@version]')
    .option('--type <type>', 'audit, provenance, sbom, review, … or the URI of another kind of statement')
    .option('--predicate <file>', 'what is said, in JSON (default: nothing beside the type)')
    .option('--envelope <file>', 'what somebody else signed, instead')
    .option(
      '--signer <key...>',
      'with --envelope: who signed it, where it does not say so: did:key:z6Mk… or a PEM file'
    )
    .option('--registry <alias>', 'where it is said (default: the registry of the release)')
    .action(action(async (session, { args, options }) => (await import('./attest.ts')).attest(session, args, options)))
  program
    .command('attestations')
    .description('what the registries that are followed say of a release')
    .argument('<reference>', '[registry:]name[@version]')
    .option('--type <type>', 'only this kind')
    .option('--out <folder>', 'a new folder for the envelopes, byte for byte, for other tools')
    .action(
      action(async (session, { args, options }) => (await import('./attest.ts')).attestations(session, args, options))
    )
  signing(program.command('audit'))
    .description(
      'without a reference: hold what the project has against what is known today; with one: say that you have audited a release, in your own registry'
    )
    .argument('[reference]', '[registry:]name[@version]')
    .option('--dir <folder>', 'without a reference: the project folder', '.')
    .option('--fix', 'without a reference: move to versions that nothing is known against')
    .option('--offline', 'with --fix: ask no peer for bytes')
    .option('--criteria <name...>', 'with a reference: what it was found to be: safe-to-run, safe-to-deploy, …')
    .option('--from <version>', 'only what changed since that version was audited')
    .option('--failed', 'it was found not to be that')
    .option('--notes <text>', 'what you found')
    .option('--report <uri>', 'where all of it can be read')
    .option('--registry <alias>', 'where it is said (default: the one that was made here)')
    .action(
      action(async (session, { args, options }) =>
        args.length === 0
          ? (await import('./audit.ts')).auditProject(session, options)
          : (await import('./attest.ts')).audit(session, args, options)
      )
    )
  addTrustVerbs(program)
  addAdvisoryVerbs(program)
  program
    .command('sbom')
    .description('write the bill of materials of a release to standard output')
    .argument('<reference>', '[registry:]name[@version]')
    .addOption(new Option('--format <format>', 'which one').choices(['cyclonedx', 'spdx']).default('cyclonedx'))
    .action(action(async (session, { args, options }) => (await import('./attest.ts')).sbom(session, args, options)))
}

function addAdvisoryVerbs(program: Command): void {
  const advisory = program.command('advisory').description('known problems of packages')
  signing(advisory.command('add'))
    .description('warn of what OSV records say, in your own registry')
    .argument('<path>', 'a record in JSON, or a folder of them')
    .option('--registry <alias>', 'where it is said (default: the one that was made here)')
    .action(action(async (session, { args, options }) => (await import('./advisory.ts')).add(session, args, options)))
  advisory
    .command('list')
    .description('what the registries that are followed warn of')
    .argument('[reference]', '[registry:]name[@version]')
    .option('--registry <alias>', 'only what this one says')
    .action(action(async (session, { args, options }) => (await import('./advisory.ts')).list(session, args, options)))
}

function addTrustVerbs(program: Command): void {
  const trust = program.command('trust').description('whose word is taken, and for what')
  const purpose = (): Option =>
    new Option('--for <what>', 'what for').choices(['audits', 'reviews', 'advisories']).default('audits')
  trust
    .command('add')
    .description('take the word of a registry, or of a key')
    .argument('<who>', 'a registry that is followed, or did:key:z6Mk…')
    .addOption(purpose())
    .action(action(async (session, { args, options }) => (await import('./trust.ts')).add(session, args, options)))
  trust
    .command('remove')
    .description('take it no longer')
    .argument('<who>', 'a registry that is followed, or did:key:z6Mk…')
    .addOption(purpose())
    .action(action(async (session, { args, options }) => (await import('./trust.ts')).remove(session, args, options)))
  trust
    .command('list')
    .description('whose word is taken')
    .action(action(async session => (await import('./trust.ts')).list(session)))
}
