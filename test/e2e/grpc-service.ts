import { join } from 'node:path'
import {
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ClientWritableStream,
  credentials,
  loadPackageDefinition,
  Metadata,
  type requestCallback,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceClientConstructor,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { Test } from 'tap'
import type { Gateway } from '../support/programs.ts'

// A gRPC service and its client (test/fixtures/talk.proto), by the library that Node programs use.

export interface Line {
  readonly text?: string
  readonly number?: number
  readonly attachment?: Buffer
}

export interface TalkClient extends Client {
  answer(line: Line, metadata: Metadata, callback: requestCallback<Line>): ClientUnaryCall
  recite(line: Line, options?: { deadline: Date }): ClientReadableStream<Line>
  listen(callback: requestCallback<Line>): ClientWritableStream<Line>
  converse(): ClientDuplexStream<Line, Line>
}

const proto = join(import.meta.dirname, '../fixtures/talk.proto')
const loaded = loadPackageDefinition(loadSync(proto, { defaults: false })) as unknown as {
  gotunnel: { test: { Talk: ServiceClientConstructor } }
}
const { Talk } = loaded.gotunnel.test

/** By this trailer an error has details (google.rpc.Status), which are bytes to us. */
export const detailsKey = 'grpc-status-details-bin'

/** A port where the service is; with `tls`, inside that. */
export async function serveTalk(
  t: Test,
  /** Is told the text of a call that has come to nothing. */
  onCancelled: (text: string) => void,
  tls?: { readonly key: string; readonly chain: string },
): Promise<number> {
  const server = new Server({ 'grpc.max_receive_message_length': -1 })
  server.addService(Talk.service, {
    answer: (call: ServerUnaryCall<Line, Line>, done: sendUnaryData<Line>) => answer(call, done),
    recite: (call: ServerWritableStream<Line, Line>) => {
      const { number = 0, text = '' } = call.request
      call.on('cancelled', () => onCancelled(text))
      for (let each = 0; each < number; each += 1) call.write({ number: each })
      // One that asks for nothing gets nothing, for as long as it waits.
      if (number > 0) call.end(metadata({ 'x-recited': String(number) }))
      else call.sendMetadata(new Metadata())
    },
    listen: (call: ServerReadableStream<Line, Line>, done: sendUnaryData<Line>) => {
      let number = 0
      call.on('data', ({ attachment }: Line) => (number += attachment?.length ?? 0))
      call.on('end', () => done(null, { number }))
    },
    converse: (call: ServerDuplexStream<Line, Line>) => {
      call.on('data', ({ text }: Line) => call.write({ text: `${text}, you say` }))
      call.on('end', () => call.end())
    },
  })
  const secured = tls && [{ private_key: Buffer.from(tls.key), cert_chain: Buffer.from(tls.chain) }]
  const inside = secured
    ? ServerCredentials.createSsl(null, secured)
    : ServerCredentials.createInsecure()
  t.teardown(() => server.forceShutdown())
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', inside, (error, port) =>
      error ? reject(error) : resolve(port),
    )
  })
}

function answer(
  { request, metadata: asked }: ServerUnaryCall<Line, Line>,
  done: sendUnaryData<Line>,
) {
  const { text, attachment } = request
  if (text === 'fail') {
    const details = 'nothing like that – 何もない'
    const trailers = metadata({ [detailsKey]: Buffer.from([0, 1, 2, 255]), 'x-reason': 'a test' })
    done({ code: status.FAILED_PRECONDITION, details, metadata: trailers })
    return
  }
  const line = { text: `${text}!`, ...(attachment && { attachment }) }
  done(null, line, metadata({ 'x-asked': String(asked.get('x-asked')) }))
}

function metadata(values: Record<string, string | Buffer>): Metadata {
  const made = new Metadata()
  for (const [key, value] of Object.entries(values)) made.set(key, value)
  return made
}

/** A client that comes to the gateway's public port, and trusts its CA. */
export function talkTo(t: Test, { ports, ca }: Gateway, host: string): TalkClient {
  const client = new Talk(`127.0.0.1:${ports.public}`, credentials.createSsl(Buffer.from(ca)), {
    'grpc.ssl_target_name_override': host,
    'grpc.default_authority': `${host}:${ports.public}`,
    'grpc.max_receive_message_length': -1,
    'grpc.use_local_subchannel_pool': 1,
  })
  t.teardown(() => client.close())
  return client as unknown as TalkClient
}
