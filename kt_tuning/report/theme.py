"""The page's style sheet and its script, as text: the page is one file."""

from __future__ import annotations

from kt_tuning.palette import BLUE, FAINT, INK, MUTED, ORANGE, RULE

_LIGHT = f"""
  --page: #ffffff; --surface: #f6f8fa; --ink: {INK}; --muted: {MUTED}; --rule: {RULE};
  --faint: {FAINT}; --blue: {BLUE}; --orange: {ORANGE}; --tint: #e8f1f8;
"""
_DARK = """
  --page: #12161b; --surface: #1a2027; --ink: #e7ebf0; --muted: #9ba7b4; --rule: #303944;
  --faint: #7b8896; --blue: #5cb3ee; --orange: #f19a4d; --tint: #1b2d3c;
"""

STYLE_SHEET = f"""
:root {{ color-scheme: light dark; {_LIGHT} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
* {{ box-sizing: border-box; }}
html {{ -webkit-text-size-adjust: 100%; }}
body {{
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}}
main, header, footer {{ max-width: 1120px; margin: 0 auto; padding: 0 24px; }}
header {{ padding-top: 44px; }}
footer {{ padding-top: 20px; padding-bottom: 56px; color: var(--muted); font-size: 14px; }}
h1, h2, h3 {{ line-height: 1.25; text-wrap: balance; overflow-wrap: anywhere; }}
h1 {{ font-size: 34px; font-weight: 680; letter-spacing: -0.015em; margin: 4px 0 14px; }}
h2 {{ font-size: 21px; font-weight: 650; letter-spacing: -0.005em; margin: 0 0 6px; }}
h3 {{ font-size: 15px; font-weight: 650; margin: 26px 0 8px; }}
p {{ margin: 0 0 12px; max-width: 74ch; }}
a {{ color: var(--blue); text-underline-offset: 2px; }}
section {{ margin-top: 44px; padding-top: 26px; border-top: 1px solid var(--rule); }}
section > p, .quiet, figcaption {{ color: var(--muted); }}
.small {{ font-size: 13px; font-weight: 400; }}
.eyebrow {{ color: var(--muted); font-size: 14px; margin: 0; }}
.note {{
  margin: 20px 0 0; padding: 2px 0 2px 14px; border-left: 3px solid var(--orange); font-size: 15px;
}}
nav {{ display: flex; flex-wrap: wrap; gap: 4px 18px; margin-top: 24px; font-size: 14px; }}
.badge {{
  display: inline-block; padding: 1px 8px; border-radius: 9px; background: var(--tint);
  color: var(--blue); font-size: 12.5px; font-weight: 600; white-space: nowrap;
}}
.badge.bad {{ background: none; color: var(--orange); box-shadow: inset 0 0 0 1px var(--orange); }}

.summary {{ margin: 24px 0 0; }}
.summary div {{
  display: grid; grid-template-columns: 190px minmax(0, 1fr); gap: 0 20px; align-items: baseline;
  padding: 9px 0; border-bottom: 1px solid var(--rule);
}}
.summary div:first-child {{ border-top: 1px solid var(--rule); }}
.summary dt {{ color: var(--muted); font-size: 15px; }}
.summary dd {{ margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }}
.summary strong {{ font-size: 19px; font-weight: 650; margin-right: 6px; }}
.summary div:first-child strong {{ font-size: 26px; letter-spacing: -0.01em; color: var(--blue); }}

.scroll {{ overflow-x: auto; max-width: 100%; margin: 14px 0; }}
.scroll:focus-visible, button:focus-visible, a:focus-visible {{
  outline: 2px solid var(--blue); outline-offset: 2px;
}}
table {{ border-collapse: collapse; font-size: 14.5px; font-variant-numeric: tabular-nums; }}
th, td {{
  padding: 6px 22px 6px 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--rule);
}}
th {{ color: var(--muted); font-weight: 600; font-size: 13.5px; white-space: nowrap; }}
th:last-child, td:last-child {{ padding-right: 4px; }}
th.number, td.number {{ text-align: right; white-space: nowrap; }}
td.name {{ white-space: nowrap; }}
td.text {{ min-width: 8.5em; max-width: 22em; overflow-wrap: anywhere; }}
th.tint, td.tint {{ padding-left: 11px; padding-right: 11px; }}
.tint + .number:not(.tint) {{ padding-left: 16px; }}
td.bar-cell {{ white-space: nowrap; }}
tr.chosen td {{ font-weight: 640; }}
tr.chosen td:first-child {{ box-shadow: inset 3px 0 0 var(--blue); padding-left: 12px; }}
th button {{ all: unset; cursor: pointer; color: inherit; }}
th button:hover {{ color: var(--ink); }}
th[aria-sort] button {{ color: var(--ink); }}
th button::after {{ content: "\\2195"; opacity: 0.45; padding-left: 4px; }}
th[aria-sort="ascending"] button::after {{ content: "\\2191"; opacity: 1; }}
th[aria-sort="descending"] button::after {{ content: "\\2193"; opacity: 1; }}
.values summary {{ white-space: nowrap; }}
details {{ font-weight: 400; }}
.trials table {{ width: 100%; font-size: 14px; }}
.trials td.text {{ min-width: 14em; }}
.trials th {{ white-space: normal; vertical-align: bottom; }}
.trials th, .trials td {{ padding-right: 16px; }}
summary {{ cursor: pointer; color: var(--muted); }}
section > details > summary {{ margin: 18px 0; }}
details pre {{ margin: 6px 0; padding: 0; background: none; }}

.bar {{
  display: inline-block; vertical-align: middle; width: 140px; height: 9px; margin-right: 10px;
  background: var(--surface); border-radius: 3px; overflow: hidden;
}}
.bar i {{ display: block; height: 100%; background: var(--blue); }}

figure {{ margin: 18px 0 0; min-width: 0; }}
figcaption {{ font-size: 14px; margin-top: 6px; max-width: 74ch; }}
figure svg {{
  display: block; width: 100%; height: auto; max-width: calc(1.2 * var(--natural-width));
}}
figure .preview {{ display: block; max-width: 100%; height: auto; border-radius: 6px; }}
.gallery {{
  display: grid; grid-template-columns: repeat(auto-fill, minmax(232px, 1fr)); gap: 18px 20px;
}}
.gallery figure {{
  display: grid; grid-template-columns: 1fr 1fr; gap: 4px; margin: 0; align-content: start;
}}
.gallery img {{ width: 100%; height: auto; border-radius: 4px; image-rendering: auto; }}
.gallery figcaption {{ grid-column: 1 / -1; margin-top: 2px; overflow-wrap: anywhere; }}
.gallery .mistaken strong {{ color: var(--orange); }}
figure.keep-size .scroll {{ margin: 0; }}
figure.keep-size svg {{ min-width: calc(0.75 * var(--natural-width)); }}
svg * {{ stroke-linejoin: round; stroke-linecap: butt; }}
.narrow {{ display: none; }}
.pair, .multiples {{
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(400px, 100%), 1fr));
  gap: 8px 28px;
}}
.multiples {{
  grid-template-columns: repeat(auto-fill, minmax(min(225px, 100%), 1fr)); gap: 4px 18px;
}}
.split {{
  display: grid; grid-template-columns: minmax(0, 1.5fr) minmax(0, 1fr); gap: 0 36px;
  align-items: start;
}}
pre {{
  margin: 12px 0; padding: 12px 14px; overflow-x: auto; background: var(--surface);
  border-radius: 8px; font: 13.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
}}

@media (max-width: 860px) {{ .split {{ grid-template-columns: minmax(0, 1fr); }} }}
@media (max-width: 560px) {{
  main, header, footer {{ padding-left: 16px; padding-right: 16px; }}
  header {{ padding-top: 28px; }}
  h1 {{ font-size: 27px; }}
  .summary div {{ grid-template-columns: minmax(0, 1fr); }}
  .summary dt {{ font-size: 13.5px; }}
  .gallery {{ grid-template-columns: repeat(auto-fill, minmax(148px, 1fr)); gap: 14px; }}
  .bar {{ width: 60px; }}
  th, td {{ padding-right: 14px; }}
  td.text {{ min-width: 6em; }}
  .wide {{ display: none; }}
  .narrow {{ display: block; }}
}}
@media print {{
  body {{ font-size: 11pt; }}
  main, header, footer {{ max-width: none; padding-left: 0; padding-right: 0; }}
  nav, th button::after {{ display: none; }}
  .pair {{ grid-template-columns: 1fr 1fr; }}
  .multiples {{ grid-template-columns: repeat(4, 1fr); }}
  section {{ margin-top: 20px; padding-top: 14px; }}
  h2, h3 {{ break-after: avoid; }}
  figure, tr, .summary div {{ break-inside: avoid; }}
  .scroll {{ overflow: visible; }}
  table {{ font-size: 9pt; }}
  th, td {{ padding-right: 10px; white-space: normal; }}
  pre {{ white-space: pre-wrap; }}
}}
"""

# A click on a header sorts by it; empty cells stay last. Without scripts the table is as written.
SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const up = header.getAttribute("aria-sort") !== "ascending";
      headers.forEach(other => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", up ? "ascending" : "descending");
      const compare = (one, other) => {
        const a = value(one), b = value(other);
        if (!a || !b) return (a ? 0 : 1) - (b ? 0 : 1);
        const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
        return up ? order : -order;
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
"""
