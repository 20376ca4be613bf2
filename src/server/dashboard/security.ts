const policy = [
  "default-src 'none'",
  "style-src 'self'",
  "script-src 'self'",
  "connect-src 'self'", // what is live
  'img-src data:', // the icon
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
]

/** Of every answer: nothing runs or loads that is not ours, nobody frames it, and nobody keeps it. */
export const securityHeaders: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': policy.join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'same-origin', // with none at all a form of ours would say `Origin: null`
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}
