import type { Command } from 'commander'
import { signing } from './authority-verbs.ts'
import { action } from './run.ts'

/** The commands about keys that are bound to domains. What each does is loaded when it runs. */
export function addPublisherVerbs(program: Command): void {
  const publisher = program.command('publisher').description('keys that are bound to domains')
  signing(publisher.command('claim'))
    .description('say that a domain is yours; it counts once the domain names your key')
    .argument('<domain>', 'as DNS has it: example.org')
    .option('--registry <alias>', 'where it is said (default: the default one)')
    .action(
      action(async (session, { args, options }) => (await import('./publisher.ts')).claim(session, args, options))
    )
  publisher
    .command('verify')
    .description('ask the domains of a key, or one domain, now')
    .argument('[who]', 'did:key:z6Mk… or a domain (default: the key of this node)')
    .action(action(async (session, { args }) => (await import('./publisher.ts')).verify(session, args)))
  publisher
    .command('list')
    .description('which keys claim which domains, and what the domains said last')
    .option('--registry <alias>', 'only what was said in this one')
    .action(action(async (session, { options }) => (await import('./publisher.ts')).list(session, options)))
}
