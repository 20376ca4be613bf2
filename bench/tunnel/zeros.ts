import { truncateSync, writeFileSync } from 'node:fs'

/** A file of so many zeros, which take no room on the disk. */
export function writeZeros(file: string, bytes: number): void {
  writeFileSync(file, '')
  truncateSync(file, bytes)
}
