import type { Command } from 'commander'
import { action } from './run.ts'

/** The commands about names that strangers ask for. What each does is loaded when it runs. */
export function addSubmissionVerbs(program: Command): void {
  program
    .command('submit')
    .description('ask a curator of a registry for a name; again: what became of it')
    .argument('<name>', '[registry:]name')
    .option('--registry <alias>', 'which registry (default: the default one)')
    .option('--owner <did...>', 'keys that shall own the name beside this one')
    .option('--threshold <n>', 'so many owners must sign (default: 1)')
    .option('--note <text>', 'words for whoever decides')
    .option('--wait', 'wait until it is decided and publishing works')
    .action(action(async (session, { args, options }) => (await import('./submit.ts')).submit(session, args, options)))
  const curate = program.command('curate').description('the names that strangers ask this node for')
  inRegistry(curate.command('list'))
    .description('what waits for a decision')
    .action(action(async (session, { options }) => (await import('./curate.ts')).list(session, options)))
  inRegistry(curate.command('grant'))
    .description('give names to those who asked for them')
    .argument('<names...>', 'names, or ids of submissions')
    .option('--allow-similar', 'also those that look the same as names of others')
    .action(action(async (session, { args, options }) => (await import('./curate.ts')).grant(session, args, options)))
  inRegistry(curate.command('deny'))
    .description('deny a name to who asked for it')
    .argument('<name>', 'a name, or the id of a submission')
    .requiredOption('--reason <text>', 'why, for who asked')
    .action(action(async (session, { args, options }) => (await import('./curate.ts')).deny(session, args, options)))
}

function inRegistry(command: Command): Command {
  return command.option('--registry <alias>', 'which registry (default: all)')
}
