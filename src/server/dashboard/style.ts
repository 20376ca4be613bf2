/** The page's only style. In the page itself, allowed there by its hash, so that nothing is fetched. */
export const style = `
:root {
  color-scheme: light dark;
  --paper: #f4f1ea; --card: #fffdf8; --ink: #1b2629; --soft: #5d6a6c; --line: #e0d9cb;
  --warm: #a9560c; --cool: #0d6a6a; --cool-wash: #d9ecea; --bad: #b3261e; --bad-wash: #f9e0dc;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0e1517; --card: #151f22; --ink: #e9e5db; --soft: #93a2a4; --line: #263438;
    --warm: #f2ab58; --cool: #79cfc9; --cool-wash: #163234; --bad: #ff9c92; --bad-wash: #3b1d1b;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif;
}
main { max-width: 68rem; margin: 0 auto; padding: clamp(1rem, 3vw, 2.25rem); }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem 1rem; }
h1, h2, h3, .figures b {
  font-family: Charter, 'Bitstream Charter', 'Iowan Old Style', Cambria, Georgia, serif;
  font-weight: 600; overflow-wrap: anywhere;
}
h1 { margin: 0; font-size: 1.9rem; letter-spacing: -.01em; }
h2 { margin: 2.25rem 0 .75rem; font-size: 1.3rem; }
h3 { margin: 0; font-size: 1.1rem; }
header p { margin: 0; color: var(--soft); }
.pill {
  padding: .1em .65em; border-radius: 1em; background: var(--cool-wash); color: var(--cool);
  font-size: .85em; white-space: nowrap;
}
.pill.bad { background: var(--bad-wash); color: var(--bad); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .9rem; }
.figures {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 1px;
  margin: 1.5rem 0 0; overflow: hidden; background: var(--line);
}
.figures div { padding: .8rem 1.1rem; background: var(--card); }
.figures dt, .facts dt { color: var(--soft); font-size: .85rem; }
.figures dd { margin: 0; font-size: .85rem; color: var(--soft); }
.figures b { display: block; color: var(--ink); font-size: 1.7rem; line-height: 1.2; }
article { margin: 0 0 1rem; padding: 1rem 1.2rem 1.1rem; }
.title { display: flex; flex-wrap: wrap; align-items: baseline; gap: .1rem .8rem; }
.title span { color: var(--soft); font-size: .9rem; overflow-wrap: anywhere; }
.facts { display: flex; flex-wrap: wrap; gap: .4rem 1.8rem; margin: .6rem 0 .8rem; }
.facts dd { margin: 0; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
th, td {
  padding: .4rem 1.2rem .4rem 0; border-top: 1px solid var(--line);
  text-align: left; vertical-align: top; overflow-wrap: anywhere;
}
thead th { border-top: 0; color: var(--soft); font-size: .85rem; font-weight: 400; }
table > :first-child > tr:first-child > * { border-top: 0; }
.plain { padding: .6rem 1.2rem; }
code, td:first-child, .mono { font-family: ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace; font-size: .92em; }
a { color: var(--warm); }
.empty { padding: 2rem 1.2rem; text-align: center; color: var(--soft); }
.late { color: var(--bad); }
footer { margin-top: 2rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 40rem) {
  .figures { grid-template-columns: repeat(2, 1fr); }
  thead { display: none; }
  tr { display: block; padding: .45rem 0; border-top: 1px solid var(--line); }
  th, td { display: block; padding: 0; border: 0; }
  table > tbody:first-child > tr:first-child { border-top: 0; }
  td[data-label]::before { content: attr(data-label) ' '; color: var(--soft); font-size: .85rem; }
}
`
