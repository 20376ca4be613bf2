import type { Usage } from './arguments.ts'

export const serverUsage = {
  name: 'gotunnel-server',
  summary: 'The gateway of gotunnel: public names on this machine, private services behind them.',
  commands: [
    {
      name: '',
      summary: 'Run the gateway.',
      options: [
        {
          name: 'env-file',
          // Node 20 takes the long one for its own too, wherever it stands (nodejs/node#54232).
          short: 'e',
          value: 'FILE',
          doc: 'Variables for what the environment does not set. Default: .env, if there is one.',
        },
        { name: 'check', doc: 'Check the configuration, say what it amounts to, and exit.' },
      ],
    },
    {
      name: 'secret',
      summary: 'Print a new secret for JWT_SECRET here and jwt_secret at the agents.',
      options: [],
    },
  ],
  examples: [
    {
      doc: 'make a secret, once',
      line: 'echo "JWT_SECRET=$(gotunnel-server secret)" >> .env',
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
