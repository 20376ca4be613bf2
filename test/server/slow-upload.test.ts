import t, { type Test } from 'tap'
import { watchUpload } from '../../src/server/edge/slow-upload.ts'

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

  t.test('the watch is over', async (t) => {
    const upload = watch(t, { minRate: 100 })
    upload.stop()
    upload.seconds(100, 0)
    t.equal(upload.slow, 0)
  })
})

function watch(t: Test, options: { minRate: number; isHeldUp?: () => boolean }) {
  t.clock.enter()
  t.teardown(() => t.clock.exit())
  const visit = { bytesIn: 0 }
  const onSlow = () => (upload.slow += 1)
  const upload = {
    slow: 0,
    stop: watchUpload(visit, { isHeldUp: () => false, ...options, onSlow }),
    seconds(count: number, rate: number) {
      for (let second = 0; second < count; second += 1) {
        visit.bytesIn += rate
        t.clock.advance(1_000)
      }
    },
  }
  return upload
}
