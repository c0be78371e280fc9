import { Argument } from 'commander'
import type { Command } from 'commander'
import { action } from './run.ts'

/** The commands about who may do what, and about what a registry is of two minds about. Each is loaded when it runs. */
export function addAuthorityVerbs(program: Command): void {
  addRoleVerbs(program.command('role').description('who may do what in a registry or about a package'))
  addOwnerVerbs(program)
  addSigningVerbs(program)
  addConflictVerbs(program)
}

function addRoleVerbs(role: Command): void {
  role
    .command('list')
    .description('who holds which role')
    .argument('[reference]', 'a package; the registry without it')
    .option('--registry <alias>', 'which registry (default: the default one)')
    .action(action(async (session, { args, options }) => (await import('./role.ts')).list(session, args, options)))
  about(signing(role.command('grant')))
    .description('give a key a role')
    .argument('<did>', 'did:key:z6Mk…')
    .addArgument(new Argument('<role>', 'what it may do').choices(ROLES))
    .option('--scope <scope>', '*, ggen/*, ggen/prefix* or a package (default: all)')
    .option('--expires <when>', '12h, 30d, 8w or a date; unlimited without it')
    .option('--threshold <n>', 'with owner: so many owners must sign from then on')
    .action(action(async (session, { args, options }) => (await import('./role.ts')).grant(session, args, options)))
  about(signing(role.command('revoke')))
    .description('take roles of a key away; what it signed before stays, unless --compromised')
    .argument('<did>', 'did:key:z6Mk…')
    .option('--role <role>', 'only this role (default: all of them)')
    .option('--scope <scope>', 'only there')
    .option('--reason <text>', 'why', '')
    .option('--compromised', 'somebody else has the key: only what --keep names stays')
    .option('--keep <facts...>', 'with --compromised: facts that stay, with all before them in their chains')
    .option('--threshold <n>', 'with owner: so many owners must sign from then on')
    .action(action(async (session, { args, options }) => (await import('./role.ts')).revoke(session, args, options)))
  signing(role.command('rotate'))
    .description('give a new key all that an old one holds, then take it from the old one')
    .argument('<old>', 'did:key:z6Mk…')
    .argument('<new>', 'did:key:z6Mk…')
    .option('--registry <alias>', 'which registry (default: the default one)')
    .action(action(async (session, { args, options }) => (await import('./role.ts')).rotate(session, args, options)))
}

/** As in protocol/role.ts, which `--help` does not load. A test compares the two. */
export const ROLES = ['owner', 'maintainer', 'publisher', 'curator', 'auditor', 'mirror', 'member', 'recovery']

function addOwnerVerbs(program: Command): void {
  const owner = program.command('owner').description('who owns a registry or a package')
  about(signing(owner.command('add')))
    .description('make a key an owner')
    .argument('<did>', 'did:key:z6Mk…')
    .option('--expires <when>', '12h, 30d, 8w or a date; unlimited without it')
    .option('--threshold <n>', 'so many owners must sign from then on')
    .action(action(async (session, { args, options }) => (await import('./role.ts')).addOwner(session, args, options)))
  about(signing(owner.command('remove')))
    .description('take ownership from a key; what it signed before stays')
    .argument('<did>', 'did:key:z6Mk…')
    .option('--reason <text>', 'why', '')
    .option('--threshold <n>', 'so many owners must sign from then on')
    .action(
      action(async (session, { args, options }) => (await import('./role.ts')).removeOwner(session, args, options))
    )
  about(owner.command('list'))
    .description('the owners, and how many of them must sign')
    .action(action(async (session, { options }) => (await import('./role.ts')).owners(session, options)))
  signing(program.command('transfer'))
    .description('give a package of yours to another key, and leave it')
    .argument('<reference>', '[registry:]name')
    .argument('<did>', 'did:key:z6Mk…')
    .action(action(async (session, { args, options }) => (await import('./role.ts')).transfer(session, args, options)))
}

function addSigningVerbs(program: Command): void {
  signing(program.command('sign'))
    .description('sign a statement too, or all in a file that waits for this key')
    .argument('<file>', 'the id of a statement, or a file of statements')
    .option('--registry <alias>', 'where the statement is (default: any that is followed)')
    .option('--dry-run', 'say what would be signed, and sign nothing')
    .action(action(async (session, { args, options }) => (await import('./sign.ts')).sign(session, args, options)))
  program
    .command('admit')
    .description('take in the statements of a file; each is verified like any other')
    .argument('<file>')
    .action(action(async (session, { args }) => (await import('./sign.ts')).admit(session, args)))
}

function addConflictVerbs(program: Command): void {
  program
    .command('conflict')
    .description('what a registry is of two minds about')
    .command('list')
    .description('versions with several contents, and places with several statements')
    .option('--registry <alias>', 'which registry (default: the default one)')
    .action(action(async (session, { options }) => (await import('./conflict.ts')).list(session, options)))
  signing(program.command('resolve'))
    .description('settle a conflict: of what excludes each other, one is kept')
    .argument('[reference]', '[registry:]name@version with several contents')
    .option('--fork <fact>', 'instead: a statement that shares its place with others')
    .requiredOption('--keep <fact>', 'the statement, or the content, that is kept')
    .option('--registry <alias>', 'with --fork: where the statement is (default: any that is followed)')
    .action(
      action(async (session, { args, options }) => (await import('./conflict.ts')).resolve(session, args, options))
    )
  const proof = program.command('proof').description('proofs that need nothing else to be believed')
  proof
    .command('export')
    .description('write the proof that an author signed two statements for one place')
    .argument('<fact>', 'one of the statements')
    .argument('<file>', 'the file to write; it must not exist')
    .option('--registry <alias>', 'where the statement is (default: any that is followed)')
    .action(
      action(async (session, { args, options }) => (await import('./conflict.ts')).exportProof(session, args, options))
    )
  proof
    .command('verify')
    .description('say what a proof proves; needs no data directory and no network')
    .argument('<file>')
    .action(action(async (session, { args }) => (await import('./conflict.ts')).verifyProof(session, args)))
}

/** Options of every command that signs. */
export function signing(command: Command): Command {
  return command
    .option('--key <key>', 'another key of this data directory, such as recovery')
    .option('--out <file>', 'a new file with what was signed, for machines that do not hear of it otherwise')
}

function about(command: Command): Command {
  return command
    .option('--registry <alias>', 'which registry (default: the default one)')
    .option('--package <reference>', 'about one package only')
}
