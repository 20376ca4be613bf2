// Keeps an open page up to date: the page itself, asked for as a stream of events, sends what changed.

const units = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
]

/** As words.ts has it. */
function durationWords(seconds) {
  let rest = Math.max(0, Math.floor(seconds))
  const words = []
  for (const [unit, length] of units) {
    const count = Math.floor(rest / length)
    rest -= count * length
    if (count > 0) words.push(`${count} ${unit}`)
    else if (words.length > 0) break
  }
  return words.slice(0, 2).join(' ') || '0 s'
}

/** The gateway's clock, as far as ours is off. */
let offsetSec = 0

function tick() {
  const now = Date.now() / 1000 + offsetSec
  for (const time of document.querySelectorAll('time[data-since], time[data-until]')) {
    const { since, until } = time.dataset
    const words = durationWords(since === undefined ? until - now : now - since)
    if (time.textContent !== words) time.textContent = words
  }
}

function elementOf(markup) {
  const template = document.createElement('template')
  template.innerHTML = markup
  return template.content.firstElementChild
}

/** Somebody is at work in it: it is left alone until they are done. */
function isInUse(element) {
  return element.contains(document.activeElement) || element.querySelector('details[open]') !== null
}

const waiting = new Map()

function replace(id, element) {
  const old = document.getElementById(id)
  if (old === null) return
  if (isInUse(old)) {
    waiting.set(id, element)
    return
  }
  waiting.delete(id)
  old.replaceWith(element)
}

function arrange(list, ids, fresh) {
  const wanted = new Set(ids)
  for (const child of [...list.children]) if (!wanted.has(child.id)) child.remove()
  // Where nearly all is new, nothing has to be pointed at.
  const isCalm = ids.filter((id) => document.getElementById(id) === null).length <= 5
  let at = list.firstElementChild
  for (const id of ids) {
    if (at?.id === id) {
      at = at.nextElementSibling
      continue
    }
    let element = document.getElementById(id)
    if (element === null) {
      element = fresh.get(id)
      if (isCalm) element?.classList.add('new')
    }
    if (element) list.insertBefore(element, at)
  }
}

function apply({ set, order }) {
  const fresh = new Map(Object.entries(set).map(([id, markup]) => [id, elementOf(markup)]))
  for (const [id, element] of fresh) replace(id, element)
  for (const [id, ids] of Object.entries(order)) {
    const list = document.getElementById(id)
    if (list !== null) arrange(list, ids, fresh)
  }
  for (const [id, element] of waiting) replace(id, element)
  tick()
}

function show(state, words) {
  const mark = document.getElementById('live')
  mark.className = `live ${state}`
  if (mark.textContent !== words) mark.textContent = words
}

function follow() {
  const events = new EventSource(location.pathname + location.search)
  events.onopen = () => show('on', 'live')
  events.onmessage = ({ data }) => apply(JSON.parse(data))
  events.onerror = () => {
    show('off', 'reconnecting')
    // Answered, but not with events: we may have to log in again.
    if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 3000)
  }
  events.addEventListener('time', ({ data }) => {
    offsetSec = Number(data) - Date.now() / 1000
    tick()
  })
  events.addEventListener('gone', () => {
    events.close()
    location.reload()
  })
  addEventListener('pagehide', () => events.close())
  // A page that came back from the browser's memory is followed anew.
  addEventListener('pageshow', ({ persisted }) => persisted && location.reload())
}

follow()
setInterval(tick, 1000)
