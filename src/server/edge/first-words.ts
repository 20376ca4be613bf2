import { type ClientHello, readClientHello } from '../../net/client-hello.ts'

/** What a visitor on the public port begins with. */
export type FirstWords = Exclude<ClientHello, { kind: 'partial' }> | { readonly kind: 'ssh' }

/** For `peek`: `undefined` while there are too few bytes to tell. */
export function readFirstWords(bytes: Buffer): FirstWords | undefined {
  const seen = Math.min(bytes.length, sshBanner.length)
  if (bytes.compare(sshBanner, 0, seen, 0, seen) === 0) {
    return seen < sshBanner.length ? undefined : { kind: 'ssh' }
  }
  const hello = readClientHello(bytes)
  return hello.kind === 'partial' ? undefined : hello
}

/** RFC 4253 §4.2: with this both sides begin, and many a client waits for the server's. */
const sshBanner = Buffer.from('SSH-')
