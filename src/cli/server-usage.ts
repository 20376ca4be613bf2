import type { Option, Usage } from './arguments.ts'

const envFile: Option = {
  name: 'env-file',
  // Node 20 takes the long one for its own too, wherever it stands (nodejs/node#54232).
  short: 'e',
  value: 'FILE',
  doc: 'Variables for what the environment does not set. Default: .env, if there is one.',
}

export const serverUsage = {
  name: 'gotunnel-server',
  summary: 'The gateway of gotunnel: public names on this machine, private services behind them.',
  commands: [
    {
      name: '',
      summary: 'Run the gateway.',
      options: [
        envFile,
        { name: 'check', doc: 'Check the configuration, say what it amounts to, and exit.' },
      ],
    },
    {
      name: 'secret',
      summary: 'Print a new secret for JWT_SECRET here and jwt_secret at the agents.',
      options: [],
    },
    {
      name: 'token',
      summary: 'Make a token for one agent, with the first secret of JWT_SECRET, and print it.',
      options: [
        {
          name: 'name',
          value: 'NAME',
          doc: 'Whom it is for. It can be revoked by this name, as by its id.',
        },
        {
          name: 'hosts',
          value: 'NAMES',
          doc: 'What it may register, with commas between: app.example.com, or *.alice.example.com for any one label before that.',
        },
        {
          name: 'ports',
          value: 'PORTS',
          doc: 'Public ports it may have (listen_port), as in TCP_PORTS. Default: none.',
        },
        { name: 'ssh', doc: 'It may have the plain SSH of the public port (ssh: true).' },
        {
          name: 'expires',
          value: 'TIME',
          doc: 'How long it is good, such as 12h or 30d, or never. Default: 365d.',
        },
        envFile,
      ],
    },
    {
      name: 'token inspect',
      summary: 'Say what a token is for, and whether it is good as far as can be told here.',
      argument: '[TOKEN]',
      options: [envFile],
    },
    {
      name: 'certs',
      summary: 'List the certificates: until when they are good, and what goes on with them.',
      options: [envFile],
    },
    {
      name: 'certs issue',
      summary:
        'Have the running gateway get a certificate now, for a name whose agent is connected.',
      argument: 'NAME',
      options: [envFile],
    },
    {
      name: 'certs renew',
      summary: 'The same, although there is one.',
      argument: 'NAME',
      options: [envFile],
    },
  ],
  examples: [
    {
      doc: 'make a secret, once',
      line: 'echo "JWT_SECRET=$(gotunnel-server secret)" >> .env',
    },
    {
      doc: 'a token for one agent, in place of the secret',
      line: "gotunnel-server token --name alice --hosts 'app.example.com,*.alice.example.com' --expires 30d",
    },
    {
      doc: 'what is this token for? (from the standard input, so that no other process sees it)',
      line: 'gotunnel-server token inspect < token.txt',
    },
    {
      doc: 'run with certificates from a CA of our own',
      line: 'ACME_ENV=development GATEWAY_HOST=gateway.example.com TUNNEL_HOST=tunnel.example.com gotunnel-server',
    },
    {
      doc: 'is the configuration good?',
      line: 'gotunnel-server --env-file /etc/gotunnel/server.env --check',
    },
  ],
} as const satisfies Usage
