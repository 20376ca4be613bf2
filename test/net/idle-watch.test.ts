import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { IdleWatch } from '../../src/net/idle-watch.ts'

function start(t: Test) {
  t.clock.enter()
  t.teardown(() => t.clock.exit())
  const watch = new IdleWatch()
  const idle: string[] = []
  /** As much of a socket as is asked. */
  const connect = (name: string, idleMs: number) => {
    const socket = Object.assign(new EventEmitter(), { bytesRead: 0, bytesWritten: 0 })
    watch.watch(socket as unknown as Socket, idleMs, () => idle.push(name))
    return socket
  }
  const pass = (seconds: number) => {
    for (let i = 0; i < seconds; i += 1) t.clock.advance(1_000)
  }
  return { connect, idle, pass }
}

t.test('tells of a connection on which nothing moved for so long, once', async (t) => {
  const { connect, idle, pass } = start(t)
  connect('short', 5_000)
  connect('long', 8_000)
  pass(4)
  t.same(idle, [])
  pass(1)
  t.same(idle, ['short'])
  pass(10)
  t.same(idle, ['short', 'long'])
})

t.test('a byte in either direction begins the time anew', async (t) => {
  const { connect, idle, pass } = start(t)
  const socket = connect('busy', 3_000)
  for (const direction of ['bytesRead', 'bytesWritten'] as const) {
    for (let i = 0; i < 3; i += 1) {
      pass(2)
      socket[direction] += 1
    }
  }
  t.same(idle, [])
  pass(4) // one of them until the last byte is noticed
  t.same(idle, ['busy'])
})

t.test('is never early, whenever within a second the byte came', async (t) => {
  const { connect, idle } = start(t)
  const socket = connect('one', 2_000)
  t.clock.advance(1_000)
  t.clock.advance(900)
  socket.bytesRead += 1 // at 1.9 s, and the look at 2 s must not count from 1 s
  t.clock.advance(100)
  t.clock.advance(1_000)
  t.same(idle, [])
  t.clock.advance(1_000)
  t.same(idle, ['one'])
})

t.test('a connection that closes is forgotten; the next one is watched as the first', async (t) => {
  const { connect, idle, pass } = start(t)
  connect('closed', 3_000).emit('close')
  pass(5)
  connect('next', 3_000)
  pass(3)
  t.same(idle, ['next'])
})
