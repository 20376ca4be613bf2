// bare-node.js PORT TARGET KEY CHAIN: TLS at a port, in front of a service at another, and nothing between
// them but Node's own streams. What a tunnel in Node can hardly cost less than.
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { createServer } from 'node:tls'

const [port, target, key = '', chain = ''] = process.argv.slice(2)
const credentials = { key: readFileSync(key), cert: readFileSync(chain) }
const server = createServer({ ...credentials, noDelay: true }, (visitor) => {
  const service = connect({ port: Number(target), host: '127.0.0.1', noDelay: true })
  visitor.on('error', () => service.destroy())
  service.on('error', () => visitor.destroy())
  visitor.pipe(service).pipe(visitor)
})
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4_096 })
