import { MIRROR_MAGIC, MIRROR_RANKS, encodeMirrorRecord, parseMirrorRecord } from '../protocol/mirror-file.ts'
import type { MirrorRecord } from '../protocol/mirror-file.ts'
import { readRecordFile, writeRecordFile } from './record-file.ts'
import type { FileSize, RecordFormat } from './record-file.ts'

/** All but the end, which whoever writes the file adds. */
export type WrittenMirrorRecord = Exclude<MirrorRecord, { type: 'end' }>

const MIRROR: RecordFormat<WrittenMirrorRecord> = {
  name: 'mirror file',
  magic: MIRROR_MAGIC,
  ranks: MIRROR_RANKS,
  encode: encodeMirrorRecord,
  parse: parseMirrorRecord
}

/** Writes a registry to a new file: it is whole or not there. @throws as `writeRecordFile` */
export async function writeMirrorFile(file: string, records: AsyncIterable<WrittenMirrorRecord>): Promise<FileSize> {
  return writeRecordFile(MIRROR, file, records)
}

/** Reads one from its first to its last byte. @throws as `readRecordFile` */
export function readMirrorFile(file: string): AsyncGenerator<MirrorRecord> {
  return readRecordFile(MIRROR, file)
}
