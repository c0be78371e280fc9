import type { Command } from 'commander'
import { signing } from './authority-verbs.ts'
import { changing, SINGLE_SOURCE } from './project-verbs.ts'
import { action } from './run.ts'

/** The commands about what people say of packages beside their manifests, and about the catalogue of a registry. */
export function addDocumentVerbs(program: Command): void {
  addEditVerbs(program)
  addBundleVerbs(program.command('bundle').description('packages that are installed together'))
  addCategoryVerbs(program.command('category').description('the categories that a registry knows'))
  addAnnounceVerbs(program)
}

function addEditVerbs(program: Command): void {
  signing(program.command('edit'))
    .description('say what a package is, beside what its versions say; others may edit at the same time')
    .argument('<reference>', '[registry:]name')
    .option('--title <text>', "'' takes it away")
    .option('--description <text>', "'' takes it away")
    .option('--keyword <words...>', '+WORD adds it, -WORD takes it away; several at once')
    .option('--category <words...>', '+NAME adds it, -NAME takes it away; several at once')
    .option('--link <name=url>', '-NAME takes it away; repeat it for several, like the four below', collect)
    .option('--tag <name=version>', 'a name for a version, such as next; -NAME takes it away', collect)
    .option('--deprecate <range> <text>', 'advise against versions, and say what to do instead', collect)
    .option('--undeprecate <range>', 'take that back', collect)
    .option('--maintainer <did=name>', 'whom to ask; -DID takes it away', collect)
    .option('--file <file>', 'a TOML file; it states the whole of each field that it names')
    .action(action(async (session, { args, options }) => (await import('./edit.ts')).edit(session, args, options)))
  signing(program.command('rollover'))
    .description('fold the history of a document that is nearly full; an owner does this')
    .argument('[reference]', '[registry:]name; the catalogue of the registry without it')
    .option('--registry <alias>', 'which registry (default: the default one)')
    .action(action(async (session, { args, options }) => (await import('./edit.ts')).rollover(session, args, options)))
}

/** Of an option that may be repeated and takes one value at a time, so that it does not take what stands behind it. */
function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value]
}

function addBundleVerbs(bundle: Command): void {
  catalogue(signing(bundle.command('create')))
    .description('say a bundle, or its title anew')
    .argument('<bundle>')
    .option('--title <text>', 'its title (default: its name)')
    .option('--min-score <n>', 'the score from 0 to 100 that its members should have')
    .action(action(async (session, { args, options }) => (await import('./bundle.ts')).create(session, args, options)))
  catalogue(signing(bundle.command('add')))
    .description('put packages into a bundle, or give them another range')
    .argument('<bundle>')
    .argument('<references...>', 'name[@range]')
    .action(action(async (session, { args, options }) => (await import('./bundle.ts')).add(session, args, options)))
  catalogue(signing(bundle.command('remove')))
    .description('take packages out of a bundle; without one, the bundle itself away')
    .argument('<bundle>')
    .argument('[references...]', 'name')
    .action(action(async (session, { args, options }) => (await import('./bundle.ts')).remove(session, args, options)))
  catalogue(bundle.command('list'))
    .description('the bundles of a registry, and what is in them')
    .argument('[bundle]', 'only this one')
    .action(action(async (session, { args, options }) => (await import('./bundle.ts')).list(session, args, options)))
  changing(catalogue(bundle.command('install')))
    .description('install what is in a bundle: each member as if it had been typed')
    .argument('<bundle>')
    .option('--frozen', 'fail when the lockfile or the project file would change')
    .option('--no-deps', 'put only the members in their place, not what they need')
    .option(...SINGLE_SOURCE)
    .action(action(async (session, { args, options }) => (await import('./bundle.ts')).install(session, args, options)))
}

function addCategoryVerbs(category: Command): void {
  catalogue(signing(category.command('add')))
    .description('say a category, or its description anew')
    .argument('<category>')
    .option('--description <text>', 'what belongs in it')
    .action(
      action(async (session, { args, options }) => (await import('./catalogue.ts')).addCategory(session, args, options))
    )
  catalogue(signing(category.command('remove')))
    .description('take a category away; packages that name it go on doing so')
    .argument('<category>')
    .action(
      action(async (session, { args, options }) =>
        (await import('./catalogue.ts')).removeCategory(session, args, options)
      )
    )
  catalogue(category.command('list'))
    .description('the categories, and what belongs in them')
    .action(action(async (session, { options }) => (await import('./catalogue.ts')).listCategories(session, options)))
}

function addAnnounceVerbs(program: Command): void {
  const announce = catalogue(signing(program.command('announce')))
    // Options behind `list` and `remove` are theirs.
    .enablePositionalOptions()
    .description('tell something to all who follow a registry')
    .argument('<text>')
    .action(
      action(async (session, { args, options }) => (await import('./catalogue.ts')).announce(session, args, options))
    )
  catalogue(announce.command('list'))
    .description('what was announced, newest first')
    .action(
      action(async (session, { options }) => (await import('./catalogue.ts')).listAnnouncements(session, options))
    )
  catalogue(signing(announce.command('remove')))
    .description('take an announcement back')
    .argument('<id>')
    .action(
      action(async (session, { args, options }) =>
        (await import('./catalogue.ts')).removeAnnouncement(session, args, options)
      )
    )
}

function catalogue(command: Command): Command {
  return command.option('--registry <alias>', 'which registry (default: the default one)')
}
