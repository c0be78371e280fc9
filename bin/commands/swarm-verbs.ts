import { Option } from 'commander'
import type { Command } from 'commander'
import { signing } from './authority-verbs.ts'
import { action } from './run.ts'

/** The commands about private swarms, in a group and, but for `create` and `list`, at the top too. */
export function addSwarmVerbs(program: Command): void {
  const swarm = program.command('swarm').description('private registries, each in a swarm of its own')
  swarm
    .command('create')
    .description('found a private registry; only its members learn that it is there')
    .argument('<new>', 'its name: a-z and 0-9, joined by single "." or "-"')
    .option('--alias <alias>', 'a short name for it here (default: its name)')
    .addOption(listenOption())
    .option('--psk', 'a pre-shared key as an outer wall, beside membership')
    .addOption(new Option('--admission <how>', 'who gives out names').choices(['open', 'curated']).default('curated'))
    .action(action(async (session, { args, options }) => (await import('./swarm.ts')).create(session, args, options)))
  swarm
    .command('list')
    .description('the private swarms of this node, their peers and certificates')
    .action(action(async session => (await import('./swarm.ts')).list(session)))
  for (const parent of [swarm, program]) addMemberVerbs(parent)
}

/** As in protocol/payload-invite.ts, which `--help` does not load. A test compares the two. */
export const INVITED_ROLES = ['maintainer', 'publisher', 'curator', 'auditor', 'mirror', 'member']

function addMemberVerbs(parent: Command): void {
  addEntryVerbs(parent)
  which(parent.command('members'))
    .description('who is in a private swarm: roles, certificates, when last seen, by whose invite')
    .option('--full', 'whole keys, as expel takes them')
    .action(action(async (session, { options }) => (await import('./members.ts')).members(session, options)))
  signing(which(parent.command('expel')))
    .description('end a membership; what the member already has stays with it')
    .argument('<member>', 'did:key:z6Mk…, or the peer id of one of its hosts')
    .option('--reason <text>', 'why', '')
    .option('--compromised', 'somebody else has the key: nothing that it signed stays')
    .option('--keep <keys...>', 'keys that stay although others claim the place of the invite that they came by')
    .option('--rotate', 'give everybody else a new swarm secret, too')
    .action(action(async (session, { args, options }) => (await import('./members.ts')).expel(session, args, options)))
  which(parent.command('rotate'))
    .description('give every member of a private swarm a new secret')
    .option('--overlap <span>', 'how long the old one is good too: 12h, 3d; 0 for not at all (default: 1d)')
    .option('--key <key>', 'another key of this data directory, such as recovery')
    .action(action(async (session, { options }) => (await import('./swarm.ts')).rotate(session, options)))
  parent
    .command('leave')
    .description('be in a private swarm no longer')
    .argument('<swarm>', 'its name or alias here')
    .option('--purge', 'delete what it said, too; packages that were installed stay')
    .option('--default <alias>', 'which registry is the default one from then on')
    .action(action(async (session, { args, options }) => (await import('./swarm.ts')).leave(session, args, options)))
}

function addEntryVerbs(parent: Command): void {
  signing(which(parent.command('invite')))
    .description('make a token that lets others join a private swarm')
    // Checked by the command, which says what to do in place of an invite for an owner.
    .addOption(
      new Option('--role <role>', 'what they may do (default: member)').choices(INVITED_ROLES).argParser(text => text)
    )
    .option('--scope <scope>', '*, ggen/*, ggen/prefix* or a package (default: all)')
    .option('--expires <when>', '12h, 30d, 8w or a date (default: 7d; with --ci: 90d)')
    .addOption(new Option('--uses <n>', 'so many keys may join with it (default: 1)').conflicts('ci'))
    .option('--ci', "a member of its own for a machine: the token holds the member's key and is not used up")
    .option('--qr', 'draw the token as a QR code (default: on a terminal)')
    .option('--no-qr', 'draw no QR code')
    .option('--out-token <file>', 'write the token to a new file in place of printing it')
    .action(action(async (session, { options }) => (await import('./invite.ts')).invite(session, options)))
  parent
    .command('join')
    .description('become a member of a private swarm')
    .argument('[token]', 'what invite printed; - reads it from standard input (default: $GGEN_NODE_TOKEN)')
    .option('--token-file <file>', 'read the token from a file')
    .option('--alias <alias>', 'a short name for its registry here (default: its name)')
    .addOption(listenOption())
    .action(action(async (session, { args, options }) => (await import('./join.ts')).join(session, args, options)))
}

function listenOption(): Option {
  const option = new Option('--listen <address>', 'multiaddr that its host listens on, repeatable')
  return option.argParser((value, before: readonly string[] | undefined) => [...(before ?? []), value])
}

function which(command: Command): Command {
  return command.option('--registry <swarm>', 'which private registry (default: the only one here)')
}
