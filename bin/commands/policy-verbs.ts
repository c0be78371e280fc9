import { Option } from 'commander'
import type { Command } from 'commander'
import { PRESETS } from '../../protocol/policy/presets.ts'
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
