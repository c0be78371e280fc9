/** What each code means to the shell and to the person who reads it. The README's table is checked against this one. */
export const ERROR_CODES = {
  ALREADY_EXISTS: { exit: 4, cause: 'something of that name is there already' },
  BAD_PASSPHRASE: { exit: 3, cause: 'the passphrase does not open this key file' },
  BAD_SIGNATURE: { exit: 6, cause: 'a signature does not belong to the bytes it came with' },
  CANCELLED: { exit: 130, cause: 'interrupted before it was done' },
  CONTENT_UNAVAILABLE: { exit: 7, cause: 'no peer that was asked had the bytes' },
  CORRUPT_BLOCK: { exit: 8, cause: 'bytes on the local disk no longer match their content identifier' },
  DAEMON_UNREACHABLE: { exit: 9, cause: 'a running node did not answer on its local socket' },
  DENIED: { exit: 6, cause: 'a curator of the registry denied what was asked for' },
  DISK_FULL: { exit: 8, cause: 'no space is left on the device' },
    cause: 'a document of metadata takes too much time or memory to be made, or breaks what makes it'
    exit: 8,
  DOCUMENT_FAILED: {
  },
