import type { Command } from 'commander'
import { action } from './run.ts'

/** The commands about the bytes that this node keeps. What each does is loaded when it runs. */
export function addStoreVerbs(program: Command): void {
  program
    .command('trace')
    .description('how a package came here: who sent which part of it, over which way, and what took how long')
    .argument('<reference>', '[registry:]name[@range], or a content id')
    .action(action(async (session, { args }) => (await import('./trace.ts')).trace(session, args)))
  const store = program.command('store').description('the bytes of packages that are kept here: pins, room, repair')
  store
    .command('stat')
    .description('what is kept, what of it is pinned, what could go, and how much room there is')
    .action(action(async session => (await import('./store.ts')).stat(session)))
  store
    .command('pin')
    .description(
      'keep something here, and fetch what of it is missing; a registry and a package with what they will hold'
    )
    .argument('<reference>', '[registry:]name[@range], registry:, or a content id')
    .action(action(async (session, { args }) => (await import('./store.ts')).pin(session, args)))
  store
    .command('unpin')
    .description('take a pin back: gc may let go of what nothing else keeps')
    .argument('<reference>', 'as store pins writes it')
    .action(action(async (session, { args }) => (await import('./store.ts')).unpin(session, args)))
  store
    .command('pins')
    .description('what is pinned: by you, by projects, by publishing it here')
    .action(action(async session => (await import('./store.ts')).pins(session)))
  store
    .command('gc')
    .description(
      'delete blocks that nothing here needs; above the quota, what is not pinned and was unused the longest'
    )
    .option('--all', 'let go of everything that is not pinned')
    .option('--dry-run', 'say what would go, and delete nothing')
    .action(action(async (session, { options }) => (await import('./store.ts')).gc(session, options)))
  store
    .command('verify')
    .description('read and hash every block, and fetch again from peers what is damaged or missing')
    .action(action(async session => (await import('./store.ts')).verify(session)))
  store
    .command('quota')
    .description('how many bytes are kept at most, from now on and after the next start')
    .argument('[size]', 'such as 500MB or 20GiB, or none')
    .option('--swarm <name>', 'of which swarm', 'public')
    .action(action(async (session, { args, options }) => (await import('./store.ts')).quota(session, args, options)))
}
