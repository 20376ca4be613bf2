import type { Test } from 'tap'
import type { MuxStream, Session } from '../../src/mux/index.ts'

/** Destroys a session when the test ends; streams that still run then have nobody to tell. */
export function destroyAfter(t: Test, session: Session): void {
  const streams: MuxStream[] = []
  const open = session.open.bind(session)
  const emit = session.emit.bind(session) as (...args: unknown[]) => boolean
  Object.assign(session, {
    open: () => {
      const stream = open()
      streams.push(stream)
      return stream
    },
    // A listener would not do: a session without one refuses streams, and some tests want that.
    emit: (...args: unknown[]) => {
      if (args[0] === 'stream') streams.push(args[1] as MuxStream)
      return emit(...args)
    },
  })
  t.teardown(() => {
    for (const stream of streams) stream.on('error', () => {})
    session.destroy()
  })
}
