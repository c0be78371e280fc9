import { Argument, Command, CommanderError, Option } from 'commander'
import { ownPackage } from '../../node/package-root.ts'
import { addAttestVerbs } from './attest-verbs.ts'
import { addAuthorityVerbs, signing } from './authority-verbs.ts'
import { addDocumentVerbs } from './document-verbs.ts'
import { editArgv } from './edit-argv.ts'
import { addPolicyVerbs } from './policy-verbs.ts'
import { addProjectVerbs } from './project-verbs.ts'
import { addMirrorVerbs } from './mirror-verbs.ts'
import { addGatewayVerbs } from './gateway-verbs.ts'
import { addPublisherVerbs } from './publisher-verbs.ts'
import { action } from './run.ts'
import { homeOption, settingOptions } from './setting-options.ts'
import { addStoreVerbs } from './store-verbs.ts'
import { addSubmissionVerbs } from './submission-verbs.ts'
import { addSwarmVerbs } from './swarm-verbs.ts'
import { addTakedownVerbs } from './takedown-verbs.ts'

// Whoever reads along may have heard enough (`| head`). What was begun is carried out all the same.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
}

// Every action is loaded when it runs: `--help` must not pay for libp2p.
const program = new Command('ggen-node')
  .description('A peer-to-peer federated package registry node: publish, find and install verified packages.')
  .version(ownPackage().version, '-V, --version', 'print the version')
  .addOption(homeOption())
  .option('--json', 'print one JSON object instead of text')
  .showSuggestionAfterError()
  .showHelpAfterError('(ggen-node --help lists all commands)')
  .exitOverride()
  .configureHelp({ sortSubcommands: false })

program
  .command('init')
  .description('make a data directory with a key and a registry of your own')
  .option('--name <name>', 'the name of the registry', 'mine')
  .option('--no-registry', 'only the data directory and the key')
  .action(action(async (session, { options }) => (await import('./init.ts')).init(session, options)))

const start = program
  .command('start')
  .description('run the node until it is stopped; each option beats its variable and config.toml')
  .option('--detach', 'run in the background')
for (const option of settingOptions()) start.addOption(option)
start.action(action(async (session, { options }) => (await import('./daemon.ts')).start(session, options)))

program
  .command('stop')
  .description('stop the running node')
  .action(action(async session => (await import('./daemon.ts')).stop(session)))

program
  .command('status')
  .description('what the node is and holds')
  .action(action(async session => (await import('./daemon.ts')).status(session)))

signing(program.command('publish'))
  .description('sign and publish a package folder, or an archive of one')
  .argument('[folder]', 'a folder with package.toml or pack.toml, or a .tar or .tar.gz of one', '.')
  .option('--registry <alias>', 'which registry (default: the default one)')
  .option('--allow-similar', 'also where the name is new and looks like one of somebody else')
  .action(action(async (session, { args, options }) => (await import('./publish.ts')).publish(session, args, options)))

program
  .command('import')
  .description('publish every package folder below a folder, and say what was refused and what was changed')
  .argument('<folder>')
  .option('--registry <alias>', 'which registry (default: the default one)')
  .option('--key <key>', 'another key of this data directory')
  .action(
    action(async (session, { args, options }) => (await import('./publish.ts')).importAll(session, args, options))
  )

addProjectVerbs(program)
addPolicyVerbs(program)

program
  .command('search')
  .description('find packages by words in name, title, keywords and description')
  .argument('[words...]')
  .option('--registry <alias>', 'only this registry (default: all that are followed)')
  .option('--limit <n>', 'at most so many', '20')
  .action(action(async (session, { args, options }) => (await import('./query.ts')).search(session, args, options)))

program
  .command('show')
  .description('all that the registry says of a package')
  .argument('<reference>', '[registry:]name')
  .option('--conflicts', 'only what people contradict each other about, and who said what')
  .addOption(new Option('--history', 'only who edited what, newest first').conflicts('conflicts'))
  .option('--limit <n>', 'with --history: at most so many (default: 20)')
  .action(action(async (session, { args, options }) => (await import('./show.ts')).show(session, args, options)))

program
  .command('peers')
  .description('who the running node is connected to')
  .action(action(async session => (await import('./peers.ts')).peers(session)))

program
  .command('connect')
  .description('connect the running node to a peer')
  .argument('<address>', 'a multiaddr that ends in /p2p/<peer id>')
  .action(action(async (session, { args }) => (await import('./peers.ts')).connect(session, args)))

signing(program.command('yank'))
  .description('withdraw a version from new installs; its bytes stay')
  .argument('<reference>', 'name@version')
  .option('--reason <text>', 'why', '')
  .action(action(async (session, { args, options }) => (await import('./yank.ts')).yank(session, args, options)))

signing(program.command('unyank'))
  .description('take a yank back')
  .argument('<reference>', 'name@version')
  .action(action(async (session, { args, options }) => (await import('./yank.ts')).unyank(session, args, options)))

signing(program.command('quarantine'))
  .description('stop a version for now: nobody resolves to it, and nobody who honours it sends its bytes')
  .argument('<reference>', 'name@version')
  .option('--reason <text>', 'why', '')
  .action(
    action(async (session, { args, options }) => (await import('./quarantine.ts')).quarantine(session, args, options))
  )

signing(program.command('unquarantine'))
  .description('let a version go again')
  .argument('<reference>', 'name@version')
  .action(
    action(async (session, { args, options }) => (await import('./quarantine.ts')).unquarantine(session, args, options))
  )

addDocumentVerbs(program)

addAuthorityVerbs(program)

addSubmissionVerbs(program)
addTakedownVerbs(program)
addStoreVerbs(program)
addMirrorVerbs(program)

addSwarmVerbs(program)

addGatewayVerbs(program)

addAttestVerbs(program)
addPublisherVerbs(program)

const registry = program.command('registry').description('the registries this node follows')
registry
  .command('create')
  .description('found a registry; your key is among its owners')
  .argument('<new>', 'its name: a-z and 0-9, joined by single "." or "-"')
  .option('--alias <alias>', 'a short name for it here (default: its name)')
  .addOption(new Option('--admission <how>', 'who gives out names').choices(['open', 'curated']).default('curated'))
  .option('--root <did...>', 'other keys that own it')
  .option('--threshold <n>', 'so many owners must sign', '1')
  .action(action(async (session, { args, options }) => (await import('./registry.ts')).create(session, args, options)))
registry
  .command('show')
  .description('who owns a registry, who may do what in it, and what does not count')
  .argument('[alias]', 'which one (default: the default one)')
  .action(action(async (session, { args }) => (await import('./registry.ts')).show(session, args)))
registry
  .command('remove')
  .description('follow a registry no longer')
  .argument('<alias>')
  .option('--default <alias>', 'which one is the default from then on')
  .option('--purge', 'delete what it said, too; packages that were installed stay')
  .action(action(async (session, { args, options }) => (await import('./registry.ts')).remove(session, args, options)))
registry
  .command('add')
  .description('follow a registry')
  .argument('<id>', 'the registry id, or id@multiaddr of a peer that follows it')
  .option('--alias <alias>', 'a short name for it here')
  .option('--peer <address>', 'multiaddr of a peer that follows it')
  .option('--default', 'make it the default registry')
  .option('--single-source', 'take what one peer alone says of it as good enough')
  .action(action(async (session, { args, options }) => (await import('./registry.ts')).add(session, args, options)))
registry
  .command('list')
  .description('the registries that are followed')
  .action(action(async session => (await import('./registry.ts')).list(session)))

const key = program.command('key').description('the signing keys of this data directory')
key
  .command('list')
  .description('names and public keys')
  .action(action(async session => (await import('./key.ts')).list(session)))
key
  .command('new')
  .argument('<name>')
  .description('make a key')
  .action(action(async (session, { args }) => (await import('./key.ts')).create(session, args)))
key
  .command('show')
  .argument('[name]', 'which key', 'default')
  .option('--pem', 'in PEM, as other tools take it')
  .description('the public key as did:key')
  .action(action(async (session, { args, options }) => (await import('./key.ts')).show(session, args, options)))
key
  .command('export')
  .argument('<name>')
  .argument('<file>', 'the file to write; it must not exist')
  .option('--passphrase-file <file>', 'read the passphrase from a file (first line)')
  .description('write a key to a passphrase-protected file')
  .action(action(async (session, { args, options }) => (await import('./key.ts')).exportKey(session, args, options)))
key
  .command('import')
  .argument('<name>')
  .argument('<file>')
  .option('--passphrase-file <file>', 'read the passphrase from a file (first line)')
  .description('read a key from a passphrase-protected file')
  .action(action(async (session, { args, options }) => (await import('./key.ts')).importKey(session, args, options)))

const config = program.command('config').description('the settings of this data directory')
config
  .command('list')
  .description('every setting, its value, and where that was said')
  .action(action(async session => (await import('./config.ts')).list(session)))
config
  .command('get')
  .argument('<setting>')
  .description('the value that is in force')
  .action(action(async (session, { args }) => (await import('./config.ts')).get(session, args)))
config
  .command('set')
  .argument('<setting>')
  .argument('<value...>', 'several for a list')
  .description('write a setting to config.toml; the rest of the file stays as it is')
  .action(action(async (session, { args }) => (await import('./config.ts')).set(session, args)))
config
  .command('unset')
  .argument('<setting>')
  .description('take a setting out of config.toml')
  .action(action(async (session, { args }) => (await import('./config.ts')).unset(session, args)))
config
  .command('path')
  .description('where config.toml is')
  .action(action(async session => (await import('./config.ts')).path(session)))

program
  .command('doctor')
  .description('check the data directory, the store, the blocks and the network, and say what to do')
  .option('--deep', 'read and verify every fact and every block')
  .action(action(async (session, { options }) => (await import('./doctor.ts')).doctor(session, options)))

program
  .command('backup')
  .description('write settings, registries and all their statements to one file; a running node goes on')
  .argument('<file>', 'the file to write; it must not exist')
  .option('--blocks', 'with the bytes of every package that is held as a whole')
  .option('--with-keys', 'with the signing keys, under a passphrase')
  .option('--passphrase-file <file>', 'read the passphrase from a file (first line)')
  .action(action(async (session, { args, options }) => (await import('./backup.ts')).backup(session, args, options)))

program
  .command('restore')
  .description('make the data directory from a backup; it must not exist or be empty')
  .argument('<file>')
  .option('--passphrase-file <file>', 'read the passphrase from a file (first line)')
  .action(action(async (session, { args, options }) => (await import('./backup.ts')).restore(session, args, options)))

program
  .command('completion')
  .description('print a script that lets a shell complete commands, options and names')
  .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
  .addHelpText('after', '\nAdd to your shell: source <(ggen-node completion bash)')
  .action(action(async (_, { args }) => (await import('./completion.ts')).completion(program, args[0] ?? '')))

program
  .command('__complete', { hidden: true })
  .argument('<kind>')
  .argument('[prefix]')
  .action(action(async (session, { args }) => (await import('./complete.ts')).complete(session, args)))

program
  .command('demo')
  .description('three nodes on this machine: publish, gossip, mirror, install')
  .option('--from <folder>', 'a folder of package folders (default: the ten examples)')
  .action(action(async (session, { options }) => (await import('./demo.ts')).demo(session, options)))

program
  .command('version')
  .description('print the version of ggen-node and of Node.js')
  .action(action(async session => (await import('./version.ts')).printVersion(session.json)))

// Whoever asked for JSON gets JSON, whatever is wrong with the rest of the command line.
const json = process.argv.includes('--json')
if (json) for (const command of everyCommand(program)) command.configureOutput({ writeErr: () => {} })

try {
  await program.parseAsync([...editArgv(process.argv)])
} catch (error) {
  // Help and version are not errors; a command line that can't be read is, with the code of its kind.
  if (!(error instanceof CommanderError)) throw error
  process.exitCode = error.exitCode === 0 ? 0 : json ? await usageJson(error) : 2
}

function everyCommand(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(everyCommand)]
}

async function usageJson({ code, message }: CommanderError): Promise<number> {
  const [{ printError }, { RegistryError }] = await Promise.all([
    import('./print.ts'),
    import('../../protocol/errors.ts')
  ])
  const text =
    code === 'commander.help' ? 'a command is missing' : message.replace(/^error: |\.$/g, '').replaceAll('\n', ' ')
  return printError(new RegistryError('USAGE', text, { next: 'ggen-node --help lists all commands' }), { json: true })
}
