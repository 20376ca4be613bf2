import type { Usage } from './arguments.ts'

export const agentUsage = {
  name: 'gotunnel-agent',
  summary: 'The agent of gotunnel: gives private services beside it the public names of a gateway.',
  commands: [
    {
      name: '',
      summary: 'Run the agent.',
      options: [
        {
          name: 'config',
          short: 'c',
          value: 'FILE',
          doc: 'What to offer, and where; the keys are below. Default: config.yaml.',
        },
        { name: 'check', doc: 'Check the configuration, say what it amounts to, and exit.' },
      ],
    },
    {
      name: 'connect',
      summary: 'Join the standard input and output, or a local port, to a tcp tunnel.',
      argument: 'HOST[:PORT]',
      options: [
        {
          name: 'listen',
          value: 'ADDR:PORT',
          doc: 'Listen here, on 127.0.0.1 if ADDR is missing, and connect what comes, until SIGINT. Port 0: any.',
        },
        {
          name: 'ca',
          value: 'FILE',
          doc: 'PEM file with the CA to trust, in place of the public ones.',
        },
        {
          name: 'insecure',
          doc: "Do not check the gateway's certificate. For trials only: use --ca.",
        },
        {
          name: 'alpn',
          value: 'NAMES',
          doc: 'Protocols to offer in TLS, the best first, with commas. Default: none.',
        },
      ],
    },
  ],
  examples: [
    { doc: 'run with ./config.yaml (see config.yaml.example)', line: 'gotunnel-agent' },
    {
      doc: 'is the configuration good?',
      line: 'gotunnel-agent --config /etc/gotunnel/config.yaml --check',
    },
    {
      doc: 'ssh through a tcp tunnel',
      line: "ssh -o ProxyCommand='gotunnel-agent connect %h' ssh.example.com",
    },
    {
      doc: 'a database behind one, for clients on this machine (psql -h localhost)',
      line: 'gotunnel-agent connect db.example.com --listen 5432',
    },
  ],
} as const satisfies Usage
