import t from 'tap'
import type { Requests } from '../../src/protocol/messages.ts'
import { RequestNews } from '../../src/server/request-news.ts'

function note(hostname: string, path = '/') {
  return { hostname, method: 'GET', path, status: 200, durationMs: 1 }
}

t.test('what visitors ask for is told', async (t) => {
  const { clock } = t
  clock.enter()
  t.teardown(() => clock.exit())
  let isReading = true
  const told: Requests[] = []
  const news = new RequestNews((message) => {
    if (isReading) told.push(message)
    return isReading
  })

  await t.test('now and then: the latest, and how many there were', async (t) => {
    for (let at = 0; at < 30; at++) news.add(note('a.test', `/${at}`))
    news.add(note('b.test'))
    t.strictSame(told, [])
    clock.advance(500)
    const [message] = told.splice(0)
    t.equal(message?.latest.length, 20)
    t.strictSame(message?.latest.at(-1), note('b.test'))
    t.strictSame(message?.latest.at(-2), note('a.test', '/29'))
    t.strictSame(
      [...(message?.counts ?? [])],
      [
        ['a.test', 30],
        ['b.test', 1],
      ],
    )
  })

  await t.test('not twice, and not when there is nothing', async (t) => {
    clock.advance(10_000)
    t.strictSame(told, [])
    news.add(note('b.test'))
    clock.advance(500)
    t.strictSame(told.splice(0), [
      { type: 'requests', latest: [note('b.test')], counts: new Map([['b.test', 2]]) },
    ])
  })

  await t.test(
    'to an agent that reads: nothing is counted wrong for one that did not',
    async (t) => {
      isReading = false
      for (let at = 0; at < 100; at++) news.add(note('a.test'))
      for (let turn = 0; turn < 4; turn++) clock.advance(500)
      isReading = true
      clock.advance(500)
      const [message] = told.splice(0)
      t.equal(message?.latest.length, 20)
      t.strictSame([...(message?.counts ?? [])], [['a.test', 130]])
    },
  )

  await t.test('of many names in turn, so that a message fits in a line', async (t) => {
    for (let at = 0; at < 450; at++) news.add(note(`${at}.test`))
    for (let turn = 0; turn < 5; turn++) clock.advance(500)
    t.strictSame(
      told.map(({ counts }) => counts.size),
      [200, 200, 50],
    )
    told.length = 0
  })

  await t.test('until the session ends', async (t) => {
    news.add(note('a.test'))
    news.close()
    clock.advance(10_000)
    t.strictSame(told, [])
  })
})
