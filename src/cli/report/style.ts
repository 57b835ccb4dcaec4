/** How the page looks, by day and by night; nothing is loaded from anywhere. */
export const STYLE: string = `
:root { color-scheme: light dark; --page: #fbfbfa; --card: #fff; --ink: #1c1d1f; --soft: #595c62; --line: #d9dade;
  --live: #1f6fd0; --pinned: #d98200; --dead: #9aa0a8; --plain: #1f6fd0; --bad: #c4302b; --focus: #7a3ff2; }
@media (prefers-color-scheme: dark) { :root { --page: #141518; --card: #1d1f23; --ink: #ececef; --soft: #a9adb5; --line: #383b42;
  --live: #6aa9f7; --pinned: #f0a63a; --dead: #6c727c; --plain: #6aa9f7; --bad: #ff7a70; --focus: #b79bff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main, header, nav { max-width: 60rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
p { margin: .25rem 0; }
.soft, caption, .legend, dt { color: var(--soft); }
nav ul, .legend { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; margin: .75rem 0; padding: 0; }
a { color: var(--live); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem 1.25rem; margin: 1rem 0; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .75rem; margin: 1rem 0 0; }
dt { font-size: .85rem; } dd { margin: 0; font-size: 1.2rem; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
.grid { stroke: var(--line); stroke-width: 1; }
.live { fill: var(--live); background: var(--live); } .pinned { fill: var(--pinned); background: var(--pinned); }
.dead { fill: var(--dead); background: var(--dead); } .plain { fill: var(--plain); background: var(--plain); }
.bad { fill: var(--bad); background: var(--bad); }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .4em; }
.warn { color: var(--bad); font-weight: 600; }
figure { margin: 0; } .spreads { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 26rem)); gap: 0 1.5rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .875rem; min-width: 50%; }
caption { text-align: left; padding: .25rem 0; } th, td { text-align: left; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid var(--line); }
th[scope=row] { font-weight: 400; } th.n, .n { text-align: right; font-variant-numeric: tabular-nums; }
details { margin: .25rem 0 .5rem; } summary { cursor: pointer; color: var(--soft); }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
.skip { position: absolute; left: -999rem; } .skip:focus { left: 1rem; top: 1rem; background: var(--card); padding: .5rem; }
@media print { details { display: none; } }
`;
