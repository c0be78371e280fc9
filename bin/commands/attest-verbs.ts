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
    .option('--signer <did...>', 'with --envelope: the keys that signed it, where it does not say so itself')
    .option('--registry <alias>', 'where it is said (default: the registry of the release)')
    .action(action(async (session, { args, options }) => (await import('./attest.ts')).attest(session, args, options)))
  program
    .command('attestations')
    .description('what the registries that are followed say of a release')
    .argument('<reference>', '[registry:]name[@version]')
    .option('--type <type>', 'only this kind')
    .action(
      action(async (session, { args, options }) => (await import('./attest.ts')).attestations(session, args, options))
    )
  program
    .command('sbom')
    .description('write the bill of materials of a release to standard output')
    .argument('<reference>', '[registry:]name[@version]')
    .addOption(new Option('--format <format>', 'which one').choices(['cyclonedx', 'spdx']).default('cyclonedx'))
    .action(action(async (session, { args, options }) => (await import('./attest.ts')).sbom(session, args, options)))
}
