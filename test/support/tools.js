import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/**
 * The programs that tests need beside Node, and the Debian packages they are in.
 * @satisfies {Record<string, string>}
 */
const packages = {
  chromium: 'chromium',
  curl: 'curl',
  h2load: 'nghttp2-client',
  haproxy: 'haproxy',
  microsocks: 'microsocks',
  ip: 'iproute2',
  nft: 'nftables',
  nginx: 'nginx',
  openssl: 'openssl',
  pebble: 'pebble',
  'pebble-challtestsrv': 'pebble',
  'redis-benchmark': 'redis-tools',
  'redis-cli': 'redis-tools',
  'redis-server': 'redis-server',
  rsync: 'rsync',
  scp: 'openssh-client',
  script: 'bsdutils',
  ssh: 'openssh-client',
  sshd: 'openssh-server',
  tinyproxy: 'tinyproxy-bin',
  wrk: 'wrk',
}

/** @typedef {keyof typeof packages} Tool */

const newerNodeDirectory = join(import.meta.dirname, 'newer-node')

/** A Node that offers HTTP/2 to visitors by itself; see newer-node/package.json. */
export const newerNode = join(
  newerNodeDirectory,
  `node_modules/node-${process.platform}-${process.arch}/bin/node`,
)

/** Not on the PATH of everybody, and needed by absolute path anyway: sshd insists on it. */
const sbin = ['/usr/local/sbin', '/usr/sbin', '/sbin']

/**
 * Where the program is.
 * @param {string} tool
 * @returns {string | undefined}
 */
export function pathOf(tool) {
  const directories = [...(process.env.PATH ?? '').split(delimiter), ...sbin]
  return directories.map((directory) => join(directory, tool)).find(isExecutable)
}

/**
 * For `skip`: why tests with these programs are skipped, if they are. In CI they may not be.
 * @param {...Tool} tools
 * @returns {string | false}
 */
export function lacks(...tools) {
  const tool = tools.find((each) => pathOf(each) === undefined)
  if (tool === undefined) return false
  return lacking(`no ${tool} on this machine (Debian: ${packages[tool]})`)
}

/**
 * For `skip`: why tests with `newerNode` are skipped, if they are. In CI they may not be.
 * @returns {string | false}
 */
export function lacksNewerNode() {
  if (isExecutable(newerNode)) return false
  return lacking('no newer Node (npm ci --prefix test/support/newer-node)')
}

/** @param {string} what */
function lacking(what) {
  const reason = `${what}: what is seen through it is NOT tested`
  if (process.env.CI) throw new Error(reason)
  console.error(reason)
  return reason
}

/** Brings what is missing, where that can be done. Elsewhere it says what will be skipped. */
export function installTools() {
  installPrograms()
  if (isExecutable(newerNode)) return
  const args = ['ci', '--prefix', newerNodeDirectory, '--no-audit', '--no-fund', '--ignore-scripts']
  spawnSync('npm', args, options)
  if (!isExecutable(newerNode)) console.error('no newer Node: its tests will be SKIPPED')
}

/** As root on Debian. */
function installPrograms() {
  const names = /** @type {Tool[]} */ (Object.keys(packages))
  const missing = names.filter((name) => pathOf(name) === undefined)
  if (missing.length === 0) return
  if (process.getuid?.() === 0 && pathOf('apt-get') !== undefined) {
    const wanted = [...new Set(missing.map((name) => packages[name]))]
    console.error(`installing what the tests need: ${wanted.join(' ')}`)
    const apt = (/** @type {string[]} */ ...args) =>
      spawnSync('apt-get', args, options).status === 0
    const install = ['install', '--yes', '--quiet=2', '--no-install-recommends']
    withoutStarting(() => {
      apt('update', '--quiet=2')
      // One that cannot be had shall not keep the others away.
      if (!apt(...install, ...wanted)) for (const each of wanted) apt(...install, each)
    })
  }
  for (const name of missing) {
    if (pathOf(name) === undefined)
      console.error(`no ${name} (Debian: ${packages[name]}): its tests will be SKIPPED`)
  }
}

/**
 * Debian starts what it installs, and nobody asked for an sshd on port 22 (invoke-rc.d(8)).
 * @param {() => void} install
 */
function withoutStarting(install) {
  const policy = '/usr/sbin/policy-rc.d'
  const isOurs = !existsSync(policy)
  if (isOurs) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    install()
  } finally {
    if (isOurs) rmSync(policy)
  }
}

/**
 * What apt-get says goes to stderr: stdout is the test report's.
 * @type {import('node:child_process').SpawnSyncOptions}
 */
const options = {
  stdio: ['ignore', 2, 2],
  timeout: 300_000,
  env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
}

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
