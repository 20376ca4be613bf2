import { type Values, withDefault } from './field.ts'
import { integer } from './parse.ts'

/** What both programs take from the environment about their end. */
export const closingFields = {
  shutdownGraceSec: withDefault(
    'SHUTDOWN_GRACE_SEC',
    integer({ min: 0, max: 3600, unit: 'seconds' }),
    '15',
    'How long requests and connections that run may take to end when the program stops, or another agent takes over.',
  ),
}

export type ClosingSettings = Values<typeof closingFields>
