import type { Command, Option, Usage } from './arguments.ts'

const config: Option = {
  name: 'config',
  short: 'c',
  value: 'FILE',
  doc: 'What to offer, and where; the keys are below. Default: config.yaml.',
}
const check: Option = {
  name: 'check',
  doc: 'Check the configuration, say what it amounts to, and exit.',
}
const ca: Option = {
  name: 'ca',
  value: 'FILE',
  doc: 'PEM file with the CA to trust, in place of the public ones.',
}
const insecure: Option = {
  name: 'insecure',
  doc: "Do not check the gateway's certificate. For trials only: use --ca.",
}

const metricsPort: Option = {
  name: 'metrics-port',
  value: '[ADDR:]PORT',
  doc: 'Serve /healthz, /readyz and /metrics here, on 127.0.0.1 if ADDR is missing. Port 0: any.',
}

/** One tunnel without a file. */
function tunnelCommand(name: string, summary: string): Command {
  return { name, summary, argument: 'TARGET', options: tunnelOptions }
}

const tunnelOptions: readonly Option[] = [
  { name: 'hostname', value: 'NAME', doc: 'The public name.' },
  {
    name: 'server',
    value: 'ADDR',
    doc: "The gateway's address for agents, as tunnel_addr. Default: TUNNEL_ADDR of the environment.",
  },
  {
    name: 'token',
    value: 'TOKEN',
    doc: 'The token to present. Better in GOTUNNEL_TOKEN: other users of this machine see what is typed.',
  },
  {
    name: 'secret',
    value: 'SECRET',
    doc: 'The secret shared with the gateway, in place of a token. Better in JWT_SECRET.',
  },
  {
    name: 'listen-port',
    value: 'PORT',
    doc: 'A public port of its own (mode tcp), 0 for any; it needs no --hostname then.',
  },
  { name: 'ssh', doc: "Plain SSH on the gateway's public port is for this tunnel (mode tcp)." },
  {
    name: 'basic-auth',
    value: 'LOGINS',
    doc: 'Who may come in (mode http): lines of hash-password, with commas.',
  },
  {
    name: 'allow-ips',
    value: 'RANGES',
    doc: 'Visitors from elsewhere are turned away: addresses and CIDR ranges, with commas.',
  },
  { name: 'deny-ips', value: 'RANGES', doc: 'Visitors from there are.' },
  {
    name: 'host-header',
    value: 'HOST',
    doc: "The Host that the target sees (mode http): `target` for its own, or a fixed one. Default: the visitor's.",
  },
  {
    name: 'proxy',
    value: 'URL',
    doc: 'A proxy to reach the gateway by, or none. Default: HTTPS_PROXY and the like.',
  },
  ca,
  insecure,
  metricsPort,
  check,
]

export const agentUsage = {
  name: 'gotunnel-agent',
  summary: 'The agent of gotunnel: gives private services beside it the public names of a gateway.',
  commands: [
    {
      name: '',
      summary: 'Run the agent.',
      options: [config, metricsPort, check],
    },
    tunnelCommand(
      'http',
      'One tunnel for a web service, without a file: gotunnel-agent http 3000 …',
    ),
    tunnelCommand('tcp', 'The same for any other protocol inside TLS.'),
    tunnelCommand('tls', 'The same for a service that has a certificate of its own.'),
    {
      name: 'doctor',
      summary:
        'Look at all that the agent depends on, from DNS to the targets, and say what to do.',
      options: [config],
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
        ca,
        insecure,
        {
          name: 'alpn',
          value: 'NAMES',
          doc: 'Protocols to offer in TLS, the best first, with commas. Default: none.',
        },
      ],
    },
    {
      name: 'hash-password',
      summary:
        'Ask for a password, or read it from the standard input; print a line for basic_auth.',
      argument: 'USER',
      options: [],
    },
  ],
  examples: [
    { doc: 'run with ./config.yaml (see config.yaml.example)', line: 'gotunnel-agent' },
    {
      doc: 'one tunnel, with JWT_SECRET or GOTUNNEL_TOKEN in the environment',
      line: 'gotunnel-agent http 3000 --hostname app.example.com --server tunnel.example.com:9443',
    },
    {
      doc: 'is the configuration good?',
      line: 'gotunnel-agent --config /etc/gotunnel/config.yaml --check',
    },
    { doc: 'why does it not work?', line: 'gotunnel-agent doctor' },
    {
      doc: 'ssh through a tcp tunnel',
      line: "ssh -o ProxyCommand='gotunnel-agent connect %h' ssh.example.com",
    },
    {
      doc: 'a database behind one, for clients on this machine (psql -h localhost)',
      line: 'gotunnel-agent connect db.example.com --listen 5432',
    },
    {
      doc: 'who may come in, for basic_auth of a tunnel',
      line: 'gotunnel-agent hash-password alice',
    },
  ],
} as const satisfies Usage
