import type { Command } from 'commander'
import { action } from './run.ts'

/** The commands of a node that keeps bytes for others. What each does is loaded when it runs. */
export function addMirrorVerbs(program: Command): void {
  program
    .command('observe')
    .description('sign when releases came here: how old they are does not rest on the word of their authors')
    .argument('<reference>', 'registry:, or [registry:]name with or without @range')
    .option('--key <key>', 'another key of this data directory')
    .action(
      action(async (session, { args, options }) => (await import('./observe.ts')).observe(session, args, options))
    )
  const mirror = program
    .command('mirror')
    .description('keep the bytes of a registry or a package by a policy, and carry a registry in a file')
  mirror
    .command('add')
    .description('keep what it holds and will hold, and say how; asked for again it changes how')
    .argument(
      '<reference>',
      'registry:, [registry:]name, or a registry id with or without @multiaddr, which is followed'
    )
    .option('--range <range>', 'of a package, only the versions that fit')
    .option('--quota <size>', 'at most so many bytes, the latest releases first, such as 20GiB')
    .option('--factor <n>', 'how many nodes are to hold each content, this one counted')
    .option('--alias <alias>', 'a short name for a registry that is not followed yet')
    .action(action(async (session, { args, options }) => (await import('./mirror.ts')).add(session, args, options)))
  mirror
    .command('remove')
    .description('mirror it no longer: its bytes stay until room is needed')
    .argument('<reference>', 'as mirror list writes it')
    .action(action(async (session, { args }) => (await import('./mirror.ts')).remove(session, args)))
  mirror
    .command('list')
    .description('what is mirrored here, and how')
    .action(action(async session => (await import('./mirror.ts')).list(session)))
  mirror
    .command('status')
    .description('what of each mirror is here, what is missing and since when, and how many others hold it')
    .argument('[reference]', 'only this one')
    .action(action(async (session, { args }) => (await import('./mirror.ts')).status(session, args)))
  mirror
    .command('export')
    .description('write a registry into one file: all its statements, and the bytes that are here')
    .argument('<alias>', 'which registry')
    .argument('<file>', 'the file to write; it must not exist')
    .option('--private', 'also of a private registry; the file is not encrypted')
    .option('--since <file>', 'only what is new since this earlier export, for whoever has imported it')
    .action(
      action(async (session, { args, options }) => (await import('./mirror.ts')).exportTo(session, args, options))
    )
  mirror
    .command('import')
    .description('take a registry in from such a file, verified as if a stranger had sent it')
    .argument('<file>')
    .option('--id <id>', 'the registry that it must be; needed for one that is not followed here')
    .option('--alias <alias>', 'a short name for a registry that is not followed yet')
    .action(
      action(async (session, { args, options }) => (await import('./mirror.ts')).importFrom(session, args, options))
    )
}
