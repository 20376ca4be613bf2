import t from 'tap'
import { fuzzDecoder, fuzzSession } from './fuzz.ts'

// The short form of fuzz.ts: the same seeds in every run, and some that no run has seen before.

const fresh = Date.now() & 0x7fff_ffff

t.test('the decoder tells random and mutated frames the same however they are cut', async (t) => {
  t.comment(`fresh seeds from ${fresh}`)
  for (let i = 0; i < 3_000; i += 1) {
    fuzzDecoder(i)
    fuzzDecoder(fresh + i)
  }
})

t.test('a session lives through random and mutated frames, or ends in order', async (t) => {
  t.comment(`fresh seeds from ${fresh}`)
  for (let i = 0; i < 250; i += 1) {
    await fuzzSession(i)
    await fuzzSession(fresh + i)
  }
})
