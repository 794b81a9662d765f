"use strict";
/* The page: one bar of filters over the leaderboard and the cells, the theme, the records. */

const ALL = "all";
const NARROW_NAME = 12; /* letters of a defense's name on a phone; the rest is in its title */
const { boards, cells } = JSON.parse(document.getElementById("data").textContent);
const several = ["data", "model", "recipe"].filter(
  (name) => new Set(boards.rows.map((row) => row[name])).size > 1,
);
const cellRows = cells.keys.map((key, at) => {
  const row = { key };
  for (const [name, [values, indices]] of Object.entries(cells.texts))
    row[name] = values[indices[at]];
  for (const [name, values] of Object.entries(cells.numbers)) row[name] = values[at];
  return row;
});
const FILTERS = [
  ["data", "Data"],
  ["model", "Model"],
  ["recipe", "Recipe"],
  ["budget", "Clean budget"],
  ["attack", "Attack"],
  ["rate", "Poison rate"],
  ["family", "Family"],
  ["needs", "Needs"],
  ["defense", "Defense"],
  ["state", "State of cells"],
];
const chosen = new Map();
const form = document.getElementById("filters");

function fixed(value, share) {
  if (value === null || value === undefined) return "–";
  return (share ? 100 * value : value)
    .toFixed(1)
    .replace(/^-(0\.0)$/, "$1")
    .replace("-", "−");
}

function widest(label, texts) {
  return Math.max(label.length + 1, ...texts.map((text) => String(text).length));
}

function text(name, label, rows) {
  const texts = [...new Set(rows.map((row) => row[name]))];
  const right = texts.every((value) => typeof value === "number");
  return {
    label,
    right,
    width: widest(label, texts),
    value: (row) => row[name],
    show: (row) => String(row[name]),
  };
}

/* Whether the board has rows over all attacks (or rates): shown when no single one is selected. */
function pooled(name) {
  return boards.rows.some((row) => row[name] === ALL);
}

function boardColumns() {
  const rows = boards.rows;
  const numbers = boards.metrics.map(([, label, better, share], at) => ({
    label,
    right: true,
    down: better > 0,
    width: rows.some((row) => row.numbers[at][1] !== null) ? 11 : 6,
    title: better > 0 ? "higher is better" : "lower is better",
    value: (row) => row.numbers[at][0],
    show: (row) => {
      const [mean, half] = row.numbers[at];
      const best = row.best.includes(at);
      const shown = best ? element("b", {}, fixed(mean, share)) : fixed(mean, share);
      return half === null ? shown : [shown, element("small", {}, ` ±${fixed(half, share)}`)];
    },
  }));
  const count = {
    label: "n",
    right: true,
    width: 8,
    value: (row) => row.n,
    show: (row) =>
      element(
        "button",
        {
          type: "button",
          class: "plain",
          title:
            Object.entries(row.out)
              .map(([why, n]) => `${n} ${why}`)
              .join(", ") || "all used",
          onclick: () => see(row),
        },
        `${row.n}/${row.planned}`,
      ),
  };
  const where = ["budget", ...several].map((name) => text(name, name, rows));
  const defense = text("defense", "defense", rows);
  const narrow = matchMedia("(max-width: 40rem)").matches; /* numbers first */
  if (narrow) {
    defense.width = Math.min(defense.width, NARROW_NAME);
    defense.show = (row) => element("span", { title: row.defense }, row.defense);
  }
  const after = [text("family", "family", rows), text("needs", "needs", rows)];
  const [shares, cost] = [numbers.slice(0, 5), numbers.slice(5)];
  return [
    defense,
    ...(narrow ? [...shares, ...where] : [...where, ...shares]),
    count,
    ...cost,
    ...after,
  ];
}

/* What heads the rows of one budget, data set and network; null where there is only one. */
function boardGroups() {
  const access = { triggers: "oracle", external: "external" };
  const group = (row) =>
    [...several.map((name) => row[name]), row.budget, access[row.needs]]
      .filter((part) => part)
      .join(" · ");
  return new Set(boards.rows.map(group)).size > 1 ? group : null;
}

function cellColumns() {
  const open = {
    label: "cell",
    width: 9,
    value: (row) => row.key,
    show: (row) => element("a", { href: `#cell-${row.key}` }, row.key.slice(0, 8)),
  };
  const names = ["defense", "budget", "attack", "rate", "data", "model", "recipe", "target"];
  const several = names.filter(
    (name) => name === "defense" || new Set(cellRows.map((row) => row[name])).size > 1,
  );
  const state = {
    label: "state",
    width: widest(
      "state",
      cellRows.map((row) => row.state),
    ),
    value: (row) => row.state,
    show: (row) => (row.state === "ok" ? "ok" : element("span", { class: "bad" }, row.state)),
  };
  const numbers = Object.entries(cells.metrics).map(([name, [label, share]]) => ({
    label,
    right: true,
    width: 8,
    value: (row) => row[name],
    show: (row) => fixed(row[name], share),
  }));
  return [
    open,
    ...several.map((name) => text(name, name, cellRows)),
    text("seed", "seed", cellRows),
    state,
    ...numbers,
  ];
}

const board = new Grid(document.getElementById("board-table"), boardColumns());
board.group = boardGroups();
const list = new Grid(document.getElementById("cells-table"), cellColumns());

function agrees(row, names) {
  return names.every((name) => !chosen.has(name) || String(row[name]) === chosen.get(name));
}

function apply() {
  const word = form.elements.word.value.trim().toLowerCase();
  const spelled = (row) => !word || row.defense.toLowerCase().includes(word);
  const fields = FILTERS.map(([name]) => name);
  const plain = fields.filter((name) => !["attack", "rate", "state"].includes(name));
  const slice = (row) =>
    ["attack", "rate"].every((name) => !pooled(name) || row[name] === (chosen.get(name) ?? ALL));
  const boardRows = boards.rows.filter((row) => agrees(row, plain) && slice(row) && spelled(row));
  const found = cellRows.filter((row) => agrees(row, fields) && spelled(row));
  remember();
  board.fill(boardRows);
  list.fill(found);
  document.getElementById("board-count").textContent = `${boardRows.length} rows`;
  document.getElementById("cells-count").textContent =
    `${found.length} of ${cellRows.length} cells`;
}

/* The filters and the order of the board are in the address, so that a link shows the same. */
function remember() {
  if (location.hash.startsWith("#cell-")) return;
  const view = new URLSearchParams([...chosen]);
  if (form.elements.word.value) view.set("word", form.elements.word.value);
  if (board.sorted) {
    view.set("sort", board.columns[board.sorted.index].label);
    view.set("down", board.sorted.down);
  }
  history.replaceState(null, "", view.size ? `#view?${view}` : location.pathname);
}

function recall() {
  if (!location.hash.startsWith("#view?")) return;
  const view = new URLSearchParams(location.hash.slice("#view?".length));
  for (const [name] of FILTERS)
    if (view.has(name) && form.elements[name]) choose(name, view.get(name));
  form.elements.word.value = view.get("word") ?? "";
  const index = board.columns.findIndex((column) => column.label === view.get("sort"));
  if (index >= 0) {
    board.fill([]);
    board.sort(index, view.get("down") === "true");
  }
}

/* Narrow the filters to one row of the board and go to its cells. */
function see(row) {
  for (const name of ["data", "model", "recipe", "budget", "defense"])
    choose(name, String(row[name]));
  apply();
  document.getElementById("cells").scrollIntoView();
}

function choose(name, value) {
  if (value) chosen.set(name, value);
  else chosen.delete(name);
  if (form.elements[name]) form.elements[name].value = value;
}

function setUpFilters() {
  for (const [name, label] of FILTERS) {
    const values = [...new Set(cellRows.map((row) => String(row[name])))];
    if (values.length < 2) continue;
    values.sort(new Intl.Collator("en", { numeric: true }).compare);
    const select = element(
      "select",
      { name },
      element("option", { value: "" }, "all"),
      ...values.map((value) => element("option", { value }, value)),
    );
    select.addEventListener("change", () => {
      choose(name, select.value);
      apply();
    });
    form.append(element("label", {}, label, select));
  }
  const word = element("input", { name: "word", type: "search", placeholder: "defense …" });
  word.addEventListener("input", apply);
  form.append(element("label", {}, "Search", word));
  form.append(element("button", { type: "reset" }, "Clear"));
  form.addEventListener("reset", () => {
    chosen.clear();
    setTimeout(apply);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
}

function setUpTheme() {
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () =>
    (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const name = () => {
    button.textContent = dark() ? "Light" : "Dark";
  };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    name();
  });
  system.addEventListener("change", name);
  name();
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

function setUpCopies() {
  const texts = JSON.parse(document.getElementById("copies").textContent);
  for (const button of document.querySelectorAll("button.copy")) {
    const label = button.textContent;
    button.addEventListener("click", async () => {
      await copy(texts[button.dataset.file]);
      button.textContent = "Copied";
      setTimeout(() => {
        button.textContent = label;
      }, 1500);
    });
  }
}

setUpFilters();
setUpTheme();
setUpCopies();
recall();
board.onsort = remember;
apply();
setUpRecords(new Map(cellRows.map((row) => [row.key, row])));
