"use strict";
/* The record of one cell or victim, in a dialog that has its own address: #cell-KEY. */

const SVG = "http://www.w3.org/2000/svg";
let kept = null;

function records() {
  kept ??= JSON.parse(document.getElementById("records").textContent);
  return kept;
}

function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return element(
    "dl",
    { class: "facts" },
    ...known.flatMap(([name, value]) => [
      element("dt", {}, name),
      element("dd", {}, value instanceof Node ? value : String(value)),
    ]),
  );
}

function heading(text) {
  return element("h3", {}, text);
}

/* One logged scalar: a line over the entries of the log, with its least and greatest value. */
function chart(name, logged) {
  const known = logged.filter((value) => value !== null);
  const low = Math.min(...known),
    high = Math.max(...known);
  const x = (at) => 2 + (236 * at) / Math.max(1, known.length - 1);
  const y = (value) => 58 - (54 * (value - low)) / (high - low || 1);
  const points = known.map((value, at) => [x(at), y(value)]);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 240 60");
  svg.setAttribute("role", "img");
  svg.setAttribute(
    "aria-label",
    `${name}: from ${known.at(0)} to ${known.at(-1)}, between ${low} and ${high}`,
  );
  const path = document.createElementNS(SVG, "path");
  path.setAttribute(
    "d",
    points.map(([px, py], at) => `${at ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join(""),
  );
  path.setAttribute("fill", "none");
  path.setAttribute("stroke", "var(--accent)");
  path.setAttribute("stroke-width", "1.5");
  if (points.length === 1) path.setAttribute("d", `M${points[0][0]} ${points[0][1]}h3`);
  svg.append(path);
  const range = low === high ? `${low}` : `${low} … ${high}`;
  return element(
    "figure",
    {},
    svg,
    element("figcaption", {}, element("span", {}, name), element("span", {}, range)),
  );
}

function scores(record) {
  const order = [
    "acc",
    "asr",
    "ra",
    "acc_before",
    "asr_before",
    "ra_before",
    "der",
    "rir",
    "arr",
    "rdr",
  ];
  const isShare = (name) => order.includes(name) || name === "changed";
  const shown = (name, value) => (isShare(name) ? `${(100 * value).toFixed(2)} %` : value);
  const label = (name) =>
    order.includes(name)
      ? name.replace(/^[a-z]+/, (word) => word.toUpperCase()).replace("_", " ")
      : name;
  const rank = (name) => (order.includes(name) ? order.indexOf(name) : order.length);
  const own = Object.entries(record.scores ?? {})
    .sort(([a], [b]) => rank(a) - rank(b))
    .map(([name, value]) => [label(name), shown(name, value)]);
  const others = Object.entries(record.companions ?? {}).flatMap(([who, numbers]) =>
    Object.entries(numbers).map(([name, value]) => [`${label(name)}, ${who}`, shown(name, value)]),
  );
  return facts([...own, ...others]);
}

function recordBody(key, row) {
  const { specs, environments, records: all } = records();
  const record = all[key] ?? {};
  const victim = record.victim
    ? element("a", { href: `#cell-${record.victim}` }, all[record.victim]?.name ?? record.victim)
    : null;
  const parts = [
    facts([
      ["status", record.status ?? (record.skip ? "skip" : (row?.state ?? "missing"))],
      ["why", record.skip],
      ["key", key],
      ["seed", record.seed],
      ["victim", victim],
      ["finished", record.finished],
      ["wall time", record.wall === undefined ? null : `${record.wall} s`],
    ]),
  ];
  if (record.error) parts.push(heading("Error"), element("p", { class: "bad" }, record.error));
  if (record.traceback) parts.push(element("pre", {}, record.traceback));
  if (record.scores) parts.push(heading("Result"), scores(record));
  const series = Object.entries(record.scalars ?? {}).filter(([, values]) =>
    values.some((value) => value !== null),
  );
  const drawn = series.filter(([name]) => name !== "step");
  if (drawn.length)
    parts.push(
      heading("Log"),
      element("div", { class: "charts" }, ...drawn.map(([name, values]) => chart(name, values))),
    );
  parts.push(
    heading("Spec"),
    element("pre", {}, JSON.stringify(specs[record.spec] ?? null, null, 2)),
  );
  if (record.environment !== undefined) {
    parts.push(heading("Environment"), facts(Object.entries(environments[record.environment])));
  }
  return parts;
}

/* Show the record that the address names, if it names one. */
function follow(rows) {
  const dialog = document.getElementById("record");
  const key = /^#cell-(\w+)$/.exec(location.hash)?.[1];
  if (!key) return dialog.open && dialog.close();
  const row = rows.get(key);
  const named = row && `${row.defense} · ${row.budget} · ${row.attack} · seed ${row.seed}`;
  document.getElementById("record-title").textContent =
    named ?? records().records[key]?.name ?? key;
  document.getElementById("record-body").replaceChildren(...recordBody(key, row));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function setUpRecords(rows) {
  const dialog = document.getElementById("record");
  document.getElementById("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => {
    if (location.hash.startsWith("#cell-"))
      history.pushState(null, "", location.pathname + location.search);
  });
  addEventListener("hashchange", () => follow(rows));
  addEventListener("popstate", () => follow(rows));
  follow(rows);
}
