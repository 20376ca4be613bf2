/** Some 300 names that must never become a path, as an attacker could send them for SNI. */
export function hostileNames(): string[] {
  const targets = ['etc/passwd', 'ca', 'ca.pem', 'victim', 'victim.pem', 'x.test']
  const climbs = [
    '../',
    '../../',
    '..\\',
    '..%2f',
    '%2e%2e/',
    '..;/',
    './../',
    '....//',
    '/../',
    '//',
  ]
  const oddities = [
    '\0',
    '\n',
    '\r',
    '\t',
    ' ',
    '\x1b',
    '\x7f',
    '\u2028',
    '\u202e',
    '\ufeff',
    '\uff0e',
  ]
  const marks = [
    '/',
    '\\',
    '*',
    '?',
    '~',
    '$',
    '|',
    '&',
    ';',
    '`',
    '"',
    "'",
    '<',
    '#',
    '%',
    '@',
    '_',
  ]
  const names = [
    ...climbs.flatMap((climb) =>
      targets.flatMap((target) => [climb + target, `a.test/${climb}${target}`]),
    ),
    ...[...oddities, ...marks].flatMap((odd) => [
      odd,
      `${odd}a.test`,
      `a${odd}b.test`,
      `a.test${odd}`,
      `a.test${odd}.pem`,
    ]),
    ...[
      '',
      '.',
      '..',
      '...',
      '.test',
      'a..test',
      '-a.test',
      'a-.test',
      '*.test',
      'a.*.test',
      'a.test..',
    ],
    ...['1.2.3.4', '0x7f000001', '127.1', '2130706433', '1.2.3.08', '::1', '[::1]', 'fe80::1%eth0'],
    ...[
      'a.test:99999',
      'a.test:',
      'http://a.test',
      'a.test/',
      'c:\\a',
      '\\\\host\\share',
      '/dev/zero',
    ],
    ...['ä.test', '\u212a.test', 'а.test', '例え.test', 'a\u0301.test', '\u200b.test', 'ﬀ.test'],
    ...[`${'a'.repeat(64)}.test`, 'a.'.repeat(128), `${'a.'.repeat(126)}aa`, 'a'.repeat(100_000)],
    ...['.tmp-0000', '_dmarc.a.test', `_${'0'.repeat(64)}`],
  ]
  return [...new Set(names)]
}
