"use strict";
/* A table of any length: sorted, and only the rows in view are in the document. */

const ROW_HEIGHT = 30;
const MARGIN = 12;

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") node.addEventListener("click", value);
    else if (value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/* Numbers by value, texts by name with the numbers in them in order; missing values always last. */
function comparer(value, down) {
  const order = new Intl.Collator("en", { numeric: true });
  return (a, b) => {
    const x = value(a),
      y = value(b);
    if (x === null || y === null) return (x === null) - (y === null);
    const sign = typeof x === "number" && typeof y === "number" ? x - y : order.compare(x, y);
    return down ? -sign : sign;
  };
}

class Grid {
  /* columns: label, value(row) for sorting, show(row) -> node or text, width in characters, right,
     down */
  constructor(box, columns) {
    this.box = box;
    this.columns = columns;
    this.rows = [];
    this.sorted = null;
    this.onsort = () => {};
    this.group = null; /* group(row): the heading of rows that follow each other, if unsorted */
    this.body = element("tbody");
    this.heads = columns.map((column, index) =>
      element(
        "th",
        { scope: "col", class: column.right ? "right" : null },
        element(
          "button",
          { type: "button", title: column.title ?? null, onclick: () => this.sort(index) },
          column.label,
        ),
      ),
    );
    const sizes = columns.map((column) =>
      element("col", { style: `width: calc(${column.width}ch + 1.4rem)` }),
    );
    this.table = element(
      "table",
      {},
      element("colgroup", {}, ...sizes),
      element("thead", {}, element("tr", {}, ...this.heads)),
      this.body,
    );
    const width = columns.map((column) => `${column.width}ch + 1.4rem`).join(" + ");
    this.table.style.width = `calc(${width})`;
    box.append(this.table);
    let scheduled = false;
    box.addEventListener(
      "scroll",
      () => {
        if (scheduled) return;
        scheduled = true;
        requestAnimationFrame(() => {
          scheduled = false;
          this.draw();
        });
      },
      { passive: true },
    );
    new ResizeObserver(() => this.draw()).observe(box);
    addEventListener("beforeprint", () => this.draw(true));
    addEventListener("afterprint", () => this.draw());
  }

  fill(rows) {
    this.all = rows;
    this.arrange();
  }

  /* A first click sorts the best first, a second one the other way, a third one not at all. */
  sort(index, down = null) {
    const first = Boolean(this.columns[index].down);
    const before = this.sorted?.index === index ? this.sorted.down : null;
    const next = before === null ? first : before === first ? !first : null;
    this.sorted = (down ?? next) === null ? null : { index, down: down ?? next };
    this.heads.forEach((head, at) => {
      if (at === this.sorted?.index)
        head.setAttribute("aria-sort", this.sorted.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    this.arrange();
    this.onsort();
  }

  arrange() {
    if (this.sorted) {
      const { index, down } = this.sorted;
      this.rows = [...this.all].sort(comparer(this.columns[index].value, down));
    } else this.rows = this.group ? this.grouped() : this.all;
    this.box.scrollTop = 0;
    this.table.setAttribute("aria-rowcount", this.rows.length);
    this.first = this.last = -1;
    this.draw();
  }

  grouped() {
    let last = null;
    return this.all.flatMap((row) => {
      const heading = this.group(row);
      const rows = heading === last ? [row] : [{ heading }, row];
      last = heading;
      return rows;
    });
  }

  draw(all = false) {
    const height = this.box.clientHeight || 600;
    const top = Math.floor(this.box.scrollTop / ROW_HEIGHT);
    const first = all ? 0 : Math.max(0, top - MARGIN);
    const last = all
      ? this.rows.length
      : Math.min(this.rows.length, top + Math.ceil(height / ROW_HEIGHT) + MARGIN);
    if (first === this.first && last === this.last) return;
    [this.first, this.last] = [first, last];
    const shown = this.rows.slice(first, last).map((row, at) => this.row(row, first + at));
    this.body.replaceChildren(this.spacer(first), ...shown, this.spacer(this.rows.length - last));
  }

  row(row, at) {
    if (row.heading !== undefined) {
      const head = element("th", { scope: "rowgroup", colspan: this.columns.length }, row.heading);
      return element("tr", { class: "heading", "aria-rowindex": at + 1 }, head);
    }
    const cells = this.columns.map((column) =>
      element("td", { class: column.right ? "right" : null }, ...[column.show(row)].flat()),
    );
    return element("tr", { "aria-rowindex": at + 1 }, ...cells);
  }

  spacer(rows) {
    const cell = element("td", { colspan: this.columns.length });
    cell.style.height = `${rows * ROW_HEIGHT}px`;
    return element("tr", { class: "spacer", "aria-hidden": "true" }, cell);
  }
}
