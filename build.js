// @ts-check
/**
 * Makes dist/: the two programs and the worker for ACME, each package that they use included, in few files. Node takes
 * longer to find and read a hundred small ones than to run them. What only some commands need is in files of its own,
 * loaded when it is needed: by import() of a file of ours, since a CommonJS package would have no names then.
 * bench/README.md has the figures.
 */
import { chmodSync, cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { build } from 'esbuild'

const programs = ['server', 'agent']

rmSync('dist', { recursive: true, force: true })
const { metafile } = await build({
  entryPoints: [
    ...programs.map((name) => ({ in: `src/cli/${name}.ts`, out: name })),
    { in: 'src/certs/acme/worker.ts', out: 'worker' },
  ],
  outdir: 'dist/cli',
  bundle: true,
  // With everything, so that what any command needs first is one file, and not one for each set of its users.
  inject: ['src/cli/main.ts'],
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  // Of what is ESM only what is used is taken. Of yaml that is what its authors give to bundlers.
  mainFields: ['module', 'main'],
  alias: { yaml: './node_modules/yaml/browser/index.js' },
  // It is looked into as it was published, and refused if it is another one (certs/acme/engine.ts).
  external: ['greenlock'],
  // CommonJS packages ask for Node's modules; most files have none.
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module'; const require = (name) => (require.load ??= requireFrom(import.meta.url))(name)",
  },
  // What is read is kept: 3 MiB of a gateway's memory. A crash is told with positions in src/ all the same.
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: true,
  sourcesContent: false,
  metafile: true,
  logLevel: 'warning',
})
for (const name of programs) chmodSync(`dist/cli/${name}.js`, 0o755)
cpSync('src/server/dashboard/assets', 'dist/cli/assets', { recursive: true })
writeFileSync('dist/THIRD-PARTY-LICENSES.txt', licences(Object.keys(metafile.inputs)))

/**
 * What the authors of the included packages want to go with them.
 * @param {string[]} files
 */
function licences(files) {
  const folders = files.map((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0])
  return [...new Set(folders)].flatMap((folder) => (folder ? [licence(folder)] : [])).join('\n')
}

/** @param {string} folder */
function licence(folder) {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
  const file = ['LICENSE', 'LICENSE.md', 'LICENSE.txt', 'license', 'LICENCE']
    .map((name) => `${folder}/${name}`)
    .find((path) => existsSync(path))
  const text = file ? readFileSync(file, 'utf8').trim() : `License: ${license}`
  return `${'='.repeat(80)}\n${name} ${version}\n\n${text}\n`
}
