import { Option } from 'commander'
import type { Command } from 'commander'
import { PRESETS } from '../../protocol/policy/presets.ts'
import { signing } from './authority-verbs.ts'
import { action } from './run.ts'

/** The options of every command that installs and may make exceptions. */
export function allowing(command: Command): Command {
  return command
    .option('--allow <what...>', 'RULE REF: sign an exception from a rule of the policy')
    .option('--until <date>', 'with --allow: the last day on which it holds, such as 2026-12-31')
    .option('--reason <text>', 'with --allow: why')
}

/** The commands about what may be installed. What each does is loaded when it runs. */
export function addPolicyVerbs(program: Command): void {
  const policy = program.command('policy').description('the rules about what may be installed')
  policy
    .command('check')
    .description('judge what the lockfile of a project has')
    .option('--dir <folder>', 'the project (default: here)')
    .action(action(async (session, { options }) => (await import('./policy.ts')).check(session, options)))
  policy
    .command('explain')
    .description('every rule, what it read, and the cheapest way past those that refuse')
    .argument('<reference>', '[registry:]name[@range]')
    .option('--dir <folder>', 'the project (default: here)')
    .action(action(async (session, { args, options }) => (await import('./policy.ts')).explain(session, args, options)))
  policy
    .command('simulate')
    .description('what the lockfile would be judged by another policy in the place of the one of this node')
    .argument('<file>', 'a policy.toml')
    .option('--dir <folder>', 'the project (default: here)')
    .action(
      action(async (session, { args, options }) => (await import('./policy.ts')).simulate(session, args, options))
    )
  policy
    .command('init')
    .description('write a policy.toml to begin with, for this node or for a project')
    .addOption(new Option('--preset <name>', 'which rules').choices(Object.keys(PRESETS)).default('standard'))
    .option('--project', 'for the project: rules that are added to those of each node')
    .option('--dir <folder>', 'with --project: the project (default: here)')
    .action(action(async (session, { options }) => (await import('./policy.ts')).init(session, options)))
  policy
    .command('diff')
    .description('which rules two policies do not share')
    .argument('<before>', 'a policy.toml, or the name of a preset')
    .argument('<after>', 'the same')
    .action(action(async (session, { args }) => (await import('./policy.ts')).diff(session, args)))
  policy
    .command('suggest')
    .description('the fewest audits and exemptions with which the lockfile of a project passes, the cheapest first')
    .option('--dir <folder>', 'the project (default: here)')
    .option('--write', 'write the exemptions into the policies that refuse')
    .option('--until <date>', 'with --write: the last day on which they hold, such as 2026-12-31')
    .option('--who <name>', 'with --write: who answers for them')
    .option('--reason <text>', 'with --write: why', 'until it is audited')
    .action(action(async (session, { options }) => (await import('./policy-suggest.ts')).suggest(session, options)))
  addPublishing(policy)
  const receipt = program.command('receipt').description('what installs did and why it was allowed, signed')
  receipt
    .command('verify')
    .description('verify a receipt with nothing but its file: signatures, policies and every verdict')
    .argument('<file>', 'as in .ggen/receipts')
    .action(action(async (session, { args }) => (await import('./receipt.ts')).verify(session, args)))
  receipt
    .command('diff')
    .description('what two machines did not install alike')
    .argument('<a>', 'a receipt')
    .argument('<b>', 'another one')
    .action(action(async (session, { args }) => (await import('./receipt.ts')).diff(session, args)))
}

function addPublishing(policy: Command): void {
  signing(policy.command('publish'))
    .description('by which rules releases of a registry are installed, wherever it is followed: signed by its owners')
    .argument('[file]', 'a policy.toml; with --remove none')
    .option('--registry <alias>', 'which registry (default: the default one)')
    .option('--remove', 'take the policy of the registry back')
    .action(
      action(async (session, { args, options }) =>
        (await import('./policy-publish.ts')).publish(session, args, options)
      )
    )
  policy
    .command('show')
    .description('the policy that a registry has published')
    .option('--registry <alias>', 'which registry (default: the default one)')
    .action(action(async (session, { options }) => (await import('./policy-publish.ts')).show(session, options)))
}
