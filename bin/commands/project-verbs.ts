import type { Command } from 'commander'
import { allowing } from './policy-verbs.ts'
import { action } from './run.ts'

/** The option of every command that may take what one peer alone says. */
export const SINGLE_SOURCE = ['--single-source', 'what one peer alone says of a registry is good enough'] as const

/** The option of every command that resolves a project. */
const ACCEPT_MOVES = ['--accept-moves', 'locked names may move to the registry that they mean now'] as const

/** The commands that work on a project folder. What each does is loaded when it runs. */
export function addProjectVerbs(program: Command): void {
  allowing(changing(program.command('install')))
    .description('install packages and what they need, verified; without a name, what the lockfile says')
    .argument('[references...]', '[registry:]name[@range]')
    .option('--frozen', 'fail when the lockfile or the project file would change')
    .option('--no-deps', 'put only what is named in its place, not what it needs')
    .option('--registry <alias>', 'the registry that names without one mean')
    .option(...ACCEPT_MOVES)
    .option(...SINGLE_SOURCE)
    .action(
      action(async (session, { args, options }) => (await import('./install.ts')).install(session, args, options))
    )
  allowing(changing(program.command('update')))
    .description('resolve again within the ranges of the project: everything, or what is named')
    .argument('[names...]')
    .option(...ACCEPT_MOVES)
    .option(...SINGLE_SOURCE)
    .action(action(async (session, { args, options }) => (await import('./install.ts')).update(session, args, options)))
  changing(program.command('remove'))
    .description('take packages out of the project, with what only they needed')
    .argument('<names...>')
    .action(action(async (session, { args, options }) => (await import('./install.ts')).remove(session, args, options)))
  addReadingVerbs(program)
}

function addReadingVerbs(program: Command): void {
  reading(program.command('list'))
    .description('what the project has')
    .action(action(async (session, { options }) => (await import('./project.ts')).list(session, options)))
  reading(program.command('tree'))
    .description('what needs what')
    .action(action(async (session, { options }) => (await import('./project.ts')).tree(session, options)))
  reading(program.command('why'))
    .description('which wishes of the project lead to a package')
    .argument('<name>')
    .action(action(async (session, { args, options }) => (await import('./project.ts')).why(session, args, options)))
  reading(program.command('outdated'))
    .description('what is newer than the lockfile')
    .option('--offline', 'ask no peer for news')
    .action(action(async (session, { options }) => (await import('./project.ts')).outdated(session, options)))
  reading(program.command('verify'))
    .description(
      'compare installed files with the lockfile; of a folder, a file or a release, what it is and who says so'
    )
    .argument('[what]', 'a package folder, an archive, an envelope in a file, or [registry:]name[@version]')
    .option('--signer <key...>', 'of an envelope: who signed it, did:key:z6Mk… or a PEM file')
    .action(
      action(async (session, { args: [what], options }) =>
        what === undefined
          ? (await import('./project.ts')).verify(session, options)
          : (await import('./attest.ts')).verifyWhat(session, what, options)
      )
    )
}

/** Options of every command that changes a project. */
export function changing(command: Command): Command {
  return reading(command)
    .option('--force', 'overwrite locally modified files')
    .option('--offline', 'ask no peer for bytes')
    .option('--dry-run', 'say what would be done, and do nothing')
    .option('--sync', 'answer when all is on the disk, not only safe from a crash of the program')
}

function reading(command: Command): Command {
  return command.option('--dir <folder>', 'the project folder', '.')
}
