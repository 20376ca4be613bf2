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
  ],
  examples: [
    { doc: 'run with ./config.yaml (see config.yaml.example)', line: 'gotunnel-agent' },
    {
      doc: 'is the configuration good?',
      line: 'gotunnel-agent --config /etc/gotunnel/config.yaml --check',
    },
  ],
} as const satisfies Usage
