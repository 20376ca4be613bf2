import { setFlagsFromString } from 'node:v8'

/**
 * For a program that keeps little and passes on much. Between two markings of all that lives V8 lets the heap
 * grow by a factor: up to 4, but hardly at all where it finds memory to come and go quickly. Buffers do, and
 * count; a gateway at full load marked its whole heap every 30 MB that way. V8 asks for this setting anew
 * each time, so that it may be changed in a program that runs.
 */
export function letHeapGrow(): void {
  setFlagsFromString('--heap-growing-percent=300')
}
