import type { Argument, Command, Option } from 'commander'
import { RegistryError } from '../../protocol/errors.ts'
import { print } from './print.ts'

/** The shells that a completion script is written for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const

/**
 * What a place on the command line takes: words that are known now, files or folders, or names that only the data
 * directory knows (the hidden command `__complete` is asked for those).
 */
type Kind =
  `words:${string}` | 'files' | 'folders' | 'packages' | 'registries' | 'swarms' | 'members' | 'settings' | 'keys' | ''

/** One command, as its script needs it. */
interface Level {
  /** `registry add`; the program itself is empty. */
  readonly path: string
  readonly commands: readonly Named[]
  readonly options: readonly (Named & { readonly takes: Kind | undefined })[]
  /** By position; the last one stands for all that follow when it may be repeated. */
  readonly operands: readonly Kind[]
  readonly repeats: boolean
}

interface Named {
  readonly name: string
  readonly description: string
}

/** `ggen-node completion SHELL`: prints the script, made from the commands as they are. */
export function completion(program: Command, shell: string): void {
  const levels = levelsOf(program)
  switch (SHELLS.find(known => known === shell)) {
    case 'bash':
      return print(bashScript(levels))
    case 'zsh':
      return print(zshScript(levels))
    case 'fish':
      return print(fishScript(levels))
    case undefined:
      throw new RegistryError('USAGE', `there is no completion for ${shell}`, { next: `choose ${SHELLS.join(', ')}` })
  }
}

function levelsOf(program: Command): readonly Level[] {
  const globals = program.createHelp().visibleOptions(program)
  const everywhere = globals.filter(({ long }) => long !== '--version')
  const walk = (command: Command, path: string): readonly Level[] => {
    const help = command.createHelp()
    const commands = help.visibleCommands(command).filter(child => child.name() !== 'help')
    const options = command === program ? globals : [...help.visibleOptions(command), ...everywhere]
    const level: Level = {
      path,
      commands: commands.map(child => ({ name: child.name(), description: child.description() })),
      options: uniqueOptions(options),
      operands: command.registeredArguments.map(operandKind),
      repeats: command.registeredArguments.some(({ variadic }) => variadic)
    }
    return [level, ...commands.flatMap(child => walk(child, `${path} ${child.name()}`.trim()))]
  }
  return walk(program, '')
}

function uniqueOptions(options: readonly Option[]): Level['options'] {
  const seen = new Map<string, Level['options'][number]>()
  for (const option of options) {
    const { long, description, required, argChoices } = option
    if (long === undefined || long === null || seen.has(long)) continue
    const operand = /<([^>]+)>/.exec(option.flags)?.[1] ?? ''
    // These mean a registry that is there already: `--alias` is about to be made up.
    const isRegistry = required && (long === '--registry' || long === '--default')
    const kind = isRegistry && operand !== 'swarm' ? 'registries' : kindOf(operand, argChoices)
    seen.set(long, { name: long, description, takes: required ? kind : undefined })
  }
  return [...seen.values()]
}

function operandKind(argument: Argument): Kind {
  return argument.name() === 'alias' ? 'registries' : kindOf(argument.name(), argument.argChoices)
}

/** The names of operands in the table of commands say what they are. */
function kindOf(operand: string, choices: readonly string[] | undefined): Kind {
  if (choices !== undefined) return `words:${choices.join(' ')}`
  if (/^(?:references?|names)$/.test(operand)) return 'packages'
  if (operand === 'setting') return 'settings'
  if (operand === 'key') return 'keys'
  if (operand === 'swarm') return 'swarms'
  if (operand === 'member') return 'members'
  if (operand === 'folder') return 'folders'
  return operand === 'file' ? 'files' : ''
}

/** What both shells run: it finds out where in the tree of commands the words are, and what may stand there. */
function placeScript(levels: readonly Level[]): string {
  const commands = levels.flatMap(({ path, commands: children }) =>
    children.map(({ name }) => `      ${quote(`${path}:${name}`)}) at=${quote(`${path} ${name}`.trim())} nth=0 ;;`)
  )
  const valued = levels.flatMap(({ path, options }) =>
    options.flatMap(({ name, takes }) =>
      takes === undefined ? [] : [`    ${quote(`${path}:${name}`)}) takes=${quote(takes)} ;;`]
    )
  )
  return `__ggen_node_option() {
  takes=-
  case $1 in
${valued.join('\n')}
  esac
}
__ggen_node_place() {
  local program=$1 word='' at='' nth=0 takes='' isvalue='' flags='' home=''
  shift
  while [[ $# -gt 1 ]]; do
    word=$1
    shift
    __ggen_node_option "$at:$word"
    if [[ $takes != - ]]; then
      if [[ $# -eq 1 ]]; then isvalue=1; break; fi
      if [[ $word == --home ]]; then home=$1; fi
      shift
      continue
    fi
    case $word in -*) continue ;; esac
    case "$at:$word" in
${commands.join('\n')}
      *) nth=$((nth + 1)) ;;
    esac
  done
  cur=$1
  case $at in
${levels.map(levelCase).join('\n')}
  esac
  if [[ -n $isvalue ]]; then kind=$takes
  else case $cur in -*) kind="words:$flags" ;; esac; fi
  case $kind in
    words:*) found=\${kind#words:} ;;
    packages|registries|swarms|members|settings|keys)
      found=$("$program" \${home:+--home} \${home:+"$home"} __complete "$kind" "$cur" 2>/dev/null) ;;
  esac
}`
}

/**
 * The line is split at blanks and not at COMP_WORDBREAKS, where bash breaks `office:name@1.0.0` into five words; what
 * bash then takes for the word is cut off the front of each answer.
 */
function bashScript(levels: readonly Level[]): string {
  return `# bash: source <(ggen-node completion bash)
${placeScript(levels)}
_ggen_node() {
  local line parts i head cur='' kind='' found=''
  COMPREPLY=()
  line=\${COMP_LINE:0:$COMP_POINT}
  set -f; parts=($line); set +f
  case $line in *[[:space:]]) parts+=('') ;; esac
  __ggen_node_place "\${parts[@]}"
  case $kind in
    files) COMPREPLY=($(compgen -f -- "$cur")) ;;
    folders) COMPREPLY=($(compgen -d -- "$cur")) ;;
    *) COMPREPLY=($(compgen -W "$found" -- "$cur")) ;;
  esac
  head=\${cur%"\${cur##*[:=@]}"}
  if [[ -n $head ]]; then for i in "\${!COMPREPLY[@]}"; do COMPREPLY[$i]=\${COMPREPLY[$i]#"$head"}; done; fi
}
complete -o filenames -F _ggen_node ggen-node`
}

function zshScript(levels: readonly Level[]): string {
  return `#compdef ggen-node
# zsh, behind compinit: source <(ggen-node completion zsh)
${placeScript(levels)}
_ggen_node() {
  local cur='' kind='' found=''
  __ggen_node_place "\${(@)words[1,CURRENT]}"
  case $kind in
    files) _files ;;
    folders) _files -/ ;;
    *) compadd -- \${=found} ;;
  esac
}
compdef _ggen_node ggen-node`
}

/** What may stand at a place of one command: its subcommands, or its operands by their position. */
function levelCase({ path, commands, options, operands, repeats }: Level): string {
  const flags = options.map(({ name }) => name).join(' ')
  const kinds = operands.map((kind, i) => {
    return `${repeats && i === operands.length - 1 ? '*' : i}) kind=${quote(kind)} ;;`
  })
  const children = commands.map(({ name }) => name).join(' ')
  const here =
    children !== ''
      ? `case $nth in 0) kind=${quote(`words:${children}`)} ;; esac`
      : kinds.length > 0
        ? `case $nth in ${kinds.join(' ')} esac`
        : ':'
  return `    ${quote(path)}) flags=${quote(flags)}; ${here} ;;`
}

/** fish asks with conditions: which command the line is in, and what the word before takes. */
function fishScript(levels: readonly Level[]): string {
  const lines = ['# fish: ggen-node completion fish | source', 'complete -c ggen-node -f', FISH_FUNCTIONS]
  for (const { path, commands, options, operands } of levels) {
    const here = `-n ${quote(`__ggen_node_at ${quote(path)}`)}`
    for (const { name, description } of commands) {
      lines.push(`complete -c ggen-node ${here} -a ${quote(name)} -d ${quote(description)}`)
    }
    for (const { name, description, takes } of options) {
      const value = takes === undefined ? '' : ` ${takes === 'files' ? '-r -F' : `-x ${fishValue(takes)}`}`
      lines.push(`complete -c ggen-node ${here} -l ${name.slice(2)}${value} -d ${quote(description)}`)
    }
    for (const kind of new Set(operands))
      if (kind !== '') lines.push(`complete -c ggen-node ${here} ${fishValue(kind)}`)
  }
  const paths = levels.map(({ path }) => quote(path)).join(' ')
  return lines.join('\n').replace('@PATHS@', paths)
}

function fishValue(kind: Kind): string {
  if (kind === 'files') return '-F'
  if (kind === 'folders') return "-a '(__ggen_node_folders)'"
  if (kind.startsWith('words:')) return `-a ${quote(kind.slice('words:'.length))}`
  return kind === '' ? '' : `-a '(__ggen_node_ask ${kind})'`
}

const FISH_FUNCTIONS = `function __ggen_node_path
  set -l path ''
  for word in (commandline -opc)[2..-1]
    set -l next (string trim -- "$path $word")
    contains -- "$next" @PATHS@; and set path $next
  end
  echo $path
end
function __ggen_node_at
  test (__ggen_node_path) = "$argv[1]"
end
function __ggen_node_folders
  for folder in (commandline -ct)*/
    echo $folder
  end
end
function __ggen_node_ask
  set -l words (commandline -opc)
  set -l home
  if set -l at (contains -i -- --home $words)
    set home --home $words[(math $at + 1)]
  end
  $words[1] $home __complete $argv[1] (commandline -ct) 2>/dev/null
end`

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
