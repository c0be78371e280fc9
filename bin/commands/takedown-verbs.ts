import type { Command } from 'commander'
import { action } from './run.ts'

/** The commands about what this node withholds. What each does is loaded when it runs. */
export function addTakedownVerbs(program: Command): void {
  const takedown = program
    .command('takedown')
    .description(
      'withhold the bytes of one version here; its name and statements stay, other nodes decide for themselves'
    )
    .argument('<reference>', '[registry:]name@version, or a content id')
    .option('--reason <text>', 'why, for who asks this node for it', '')
    .option('--delete', 'delete the bytes from this disk, too')
    .action(
      action(async (session, { args, options }) => (await import('./takedown.ts')).takedown(session, args, options))
    )
  takedown
    .command('list')
    .description('what is withheld here')
    .action(action(async session => (await import('./takedown.ts')).list(session)))
  takedown
    .command('undo')
    .description('hand it out again')
    .argument('<reference>', '[registry:]name@version, or a content id')
    .action(action(async (session, { args }) => (await import('./takedown.ts')).undo(session, args)))
}
