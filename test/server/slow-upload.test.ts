import { EventEmitter } from 'node:events'
import t, { type Test } from 'tap'
import { watchUpload } from '../../src/server/edge/slow-upload.ts'
import type { Visit } from '../../src/server/edge/visit.ts'

t.test('an upload that comes too slowly is told of, once', async (t) => {
  const upload = watch(t, { minRate: 100 })
  upload.seconds(20, 100)
  t.equal(upload.slow, 0, '100 bytes a second are enough')
  upload.seconds(19, 99)
  t.equal(upload.slow, 0, 'not before the time is over')
  upload.seconds(1, 99)
  t.equal(upload.slow, 1)
  upload.seconds(100, 0)
  t.equal(upload.slow, 1)
})

t.test('but not where', async (t) => {
  t.test('the target takes no more', async (t) => {
    const upload = watch(t, { minRate: 100, isHeldUp: () => true })
    upload.seconds(100, 0)
    t.equal(upload.slow, 0)
  })

  t.test('any rate will do', async (t) => {
    const upload = watch(t, { minRate: 0 })
    upload.seconds(100, 0)
    t.equal(upload.slow, 0)
  })

  for (const end of ['body', 'response'] as const) {
    t.test(`the ${end} is at its end`, async (t) => {
      const upload = watch(t, { minRate: 100 })
      upload[end].emit(end === 'body' ? 'end' : 'close')
      upload.seconds(100, 0)
      t.equal(upload.slow, 0)
    })
  }
})

function watch(t: Test, options: { minRate: number; isHeldUp?: () => boolean }) {
  t.clock.enter()
  t.teardown(() => t.clock.exit())
  const [body, response] = [new EventEmitter(), new EventEmitter()]
  const visit = { body, response, bytesIn: 0 }
  const upload = {
    ...{ body, response, slow: 0 },
    seconds(count: number, rate: number) {
      for (let second = 0; second < count; second += 1) {
        visit.bytesIn += rate
        t.clock.advance(1_000)
      }
    },
  }
  const onSlow = () => (upload.slow += 1)
  watchUpload(visit as unknown as Visit, { isHeldUp: () => false, ...options, onSlow })
  return upload
}
