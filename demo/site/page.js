// @ts-nocheck: runs in a browser, while the project's types are Node's

const $ = (id) => document.getElementById(id)
const MIB = 1024 * 1024
const HISTORY = 60

followEvents()
measureRoundTrips()
offerUploads()
offerDownloads()

/** The clock, the bars, and the light that runs through the arches with each event. */
function followEvents() {
  const source = new EventSource('/events')
  let count = 0
  let worst = 0
  let lastAt
  let opened = 0
  source.addEventListener('open', () => {
    opened += 1
    lastAt = undefined
    $('reconnects').textContent = String(opened - 1)
  })
  source.addEventListener('error', () => {
    $('clock').dataset.state = 'lost'
    $('clock-note').textContent = 'the tunnel is away; the browser tries again'
  })
  source.addEventListener('tick', (event) => {
    const now = performance.now()
    $('time').textContent = new Date(JSON.parse(event.data).now).toLocaleTimeString([], {
      hour12: false,
    })
    $('clock').dataset.state = 'live'
    $('clock-note').textContent = 'the time there, pushed each second'
    $('events').textContent = String(++count)
    if (lastAt !== undefined) {
      const gap = now - lastAt
      worst = Math.max(worst, Math.abs(gap - 1000))
      $('gap').textContent = `${Math.round(gap)} ms`
      $('gap-worst').textContent = `±${Math.round(worst)} ms`
      addBar(Math.abs(gap - 1000))
    }
    lastAt = now
    runLight()
  })
}

function addBar(offMs) {
  const bar = document.createElement('i')
  bar.style.height = `${Math.min(100, 8 + offMs * 2)}%`
  $('bars').append(bar)
  if ($('bars').childElementCount > 40) $('bars').firstElementChild.remove()
}

function runLight() {
  const arches = $('arches')
  arches.classList.remove('lit')
  // Reading a box makes the browser finish the old animation before the new one starts.
  arches.getBoundingClientRect()
  arches.classList.add('lit')
}

async function measureRoundTrips() {
  const trips = []
  for (;;) {
    const startedAt = performance.now()
    try {
      await (await fetch('/ping', { cache: 'no-store' })).arrayBuffer()
      trips.push(performance.now() - startedAt)
      if (trips.length > HISTORY) trips.shift()
      showTrips(trips)
    } catch {
      $('rtt').textContent = '–'
    }
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
}

function showTrips(trips) {
  const sorted = [...trips].sort((a, b) => a - b)
  const say = (ms) => (ms < 10 ? ms.toFixed(1) : String(Math.round(ms)))
  $('rtt').textContent = say(trips.at(-1))
  $('rtt-min').textContent = `${say(sorted[0])} ms`
  $('rtt-median').textContent = `${say(sorted[sorted.length >> 1])} ms`
  $('rtt-max').textContent = `${say(sorted.at(-1))} ms`
  // The first request also pays for a connection: the 95th part of a hundred sets the scale.
  const scale = Math.max(2, sorted[Math.floor(sorted.length * 0.95)] * 1.15)
  const points = trips.map((ms, at) => {
    const x = 300 - (trips.length - 1 - at) * (300 / (HISTORY - 1))
    return `${x.toFixed(1)},${(62 - Math.min(1, ms / scale) * 58).toFixed(1)}`
  })
  const [firstX] = points[0].split(',')
  $('spark').innerHTML =
    `<polygon points="${firstX},64 ${points.join(' ')} 300,64"/>` +
    `<polyline points="${points.join(' ')}"/>`
}

function offerUploads() {
  const drop = $('drop')
  $('file').addEventListener('change', () => $('file').files[0] && upload($('file').files[0]))
  for (const button of document.querySelectorAll('[data-random]')) {
    button.addEventListener('click', () => upload(noise(Number(button.dataset.random))))
  }
  for (const type of ['dragover', 'dragleave', 'drop']) {
    drop.addEventListener(type, (event) => {
      event.preventDefault()
      drop.classList.toggle('over', type === 'dragover')
      if (type === 'drop' && event.dataTransfer.files[0]) upload(event.dataTransfer.files[0])
    })
  }
}

/** getRandomValues gives 64 KiB at most: one block of it, many times, each with its number. */
function noise(mib) {
  const block = crypto.getRandomValues(new Uint8Array(65536))
  const parts = []
  for (let at = 0; at < mib * 16; at += 1) {
    const part = block.slice()
    new DataView(part.buffer).setUint32(0, at)
    parts.push(part)
  }
  return new Blob(parts)
}

function upload(blob) {
  const startedAt = performance.now()
  const result = $('upload-result')
  setBusy('[data-random], #file', true)
  result.textContent = `Sending ${sizeText(blob.size)} …`
  // fetch tells nothing about the progress of an upload; XMLHttpRequest does.
  const request = new XMLHttpRequest()
  request.upload.addEventListener('progress', (event) => {
    $('upload-progress').value = event.loaded / blob.size
    result.textContent = `${sizeText(event.loaded)} of ${sizeText(blob.size)}, ${rateText(event.loaded, startedAt)}`
  })
  request.addEventListener('loadend', async () => {
    setBusy('[data-random], #file', false)
    if (request.status !== 200) {
      result.textContent = `It did not arrive: ${request.status || 'the connection was lost'}.`
      return
    }
    const answer = JSON.parse(request.responseText)
    const rate = rateText(answer.bytes, startedAt)
    result.textContent = `${sizeText(answer.bytes)} arrived, ${rate}. Comparing …`
    const same = answer.sha256 === (await sha256(blob))
    result.innerHTML =
      `<strong class="${same ? 'good' : 'bad'}">${same ? '✓ the same' : '✗ not the same'}</strong> ` +
      `${sizeText(answer.bytes)}, ${rate}<br><code>${answer.sha256}</code>`
  })
  request.open('POST', '/upload')
  request.send(blob)
}

async function sha256(blob) {
  const digest = await crypto.subtle.digest('SHA-256', await blob.arrayBuffer())
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function offerDownloads() {
  let abort = new AbortController()
  $('download-stop').addEventListener('click', () => abort.abort())
  for (const button of document.querySelectorAll('[data-download]')) {
    button.addEventListener('click', () => {
      abort = new AbortController()
      download(Number(button.dataset.download), abort.signal)
    })
  }
}

async function download(mib, signal) {
  const startedAt = performance.now()
  const result = $('download-result')
  let bytes = 0
  const show = () => {
    $('download-progress').value = bytes / (mib * MIB)
    result.textContent = `${sizeText(bytes)} of ${sizeText(mib * MIB)}, ${rateText(bytes, startedAt)}`
  }
  setBusy('[data-download]', true)
  $('download-stop').disabled = false
  const timer = setInterval(show, 100)
  try {
    const response = await fetch(`/download?mb=${mib}`, { cache: 'no-store', signal })
    const reader = response.body.getReader()
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      bytes += step.value.length
    }
    show()
    const isWhole = bytes === mib * MIB
    result.innerHTML = `<strong class="${isWhole ? 'good' : 'bad'}">${isWhole ? '✓ complete' : '✗ cut short'}</strong> ${result.textContent}`
  } catch {
    result.textContent = signal.aborted
      ? `Stopped at ${sizeText(bytes)}; the site was told to send no more.`
      : `Broke off at ${sizeText(bytes)}.`
  } finally {
    clearInterval(timer)
    setBusy('[data-download]', false)
    $('download-stop').disabled = true
  }
}

function setBusy(selector, isBusy) {
  for (const control of document.querySelectorAll(selector)) control.disabled = isBusy
}

function sizeText(bytes) {
  if (bytes >= 1024 * MIB) return `${(bytes / 1024 / MIB).toFixed(2)} GiB`
  return bytes >= MIB ? `${(bytes / MIB).toFixed(1)} MiB` : `${(bytes / 1024).toFixed(1)} KiB`
}

function rateText(bytes, startedAt) {
  const seconds = Math.max(0.001, (performance.now() - startedAt) / 1000)
  return `${(bytes / MIB / seconds).toFixed(0)} MiB/s`
}
