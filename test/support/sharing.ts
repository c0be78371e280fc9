/**
 * Folders below `test/`, without those in them, whose files start no process, keep no file and change nothing that belongs to the whole process.
 * The files of all of them share two processes, which saves a third of a second for each.
 */
export const SHARING = ['bench', 'dag', 'protocol', 'protocol/document', 'runtime', 'solver', 'sync']
