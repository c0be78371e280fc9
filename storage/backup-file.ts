import { BACKUP_MAGIC, BACKUP_RANKS, encodeBackupRecord, parseBackupRecord } from '../protocol/backup.ts'
import type { BackupRecord } from '../protocol/backup.ts'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { checkRecordFile, readRecordFile, writeRecordFile } from './record-file.ts'
import type { FileSize, RecordFormat } from './record-file.ts'

type Written = Exclude<BackupRecord, { type: 'end' }>

const BACKUP: RecordFormat<Written> = {
  name: 'backup',
  magic: BACKUP_MAGIC,
  ranks: BACKUP_RANKS,
  encode: encodeBackupRecord,
  parse: parseBackupRecord
}

/** Writes a backup to a new file: it is whole or not there. @throws as `writeRecordFile` */
export async function writeBackup(file: string, records: AsyncIterable<Written>): Promise<FileSize> {
  return writeRecordFile(BACKUP, file, records)
}

/** Reads a backup from its first to its last byte. @throws as `readRecordFile` */
export function readBackup(file: string): AsyncGenerator<BackupRecord> {
  return readRecordFile(BACKUP, file)
}

/** Reads a whole backup and answers with what it holds of each type. Takes nothing in. @throws as `readRecordFile` */
export async function checkBackup(file: string): Promise<ReadonlyMap<string, number>> {
  const found = await checkRecordFile(BACKUP, file)
  const many = (type: BackupRecord['type'], limit: number): void => {
    if ((found.get(type) ?? 0) > limit) {
      throw new RegistryError('LIMIT_EXCEEDED', `a backup has at most ${limit} records of the kind ${type}`)
    }
  }
  many('key', LIMITS.keys.files)
  many('config', 1)
  many('policy', 1)
  many('peers', 1)
  many('registry', LIMITS.config.registries)
  return found
}
