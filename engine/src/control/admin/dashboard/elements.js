// Elements of the page and how figures are written. All text goes in as text: nothing that a node says becomes markup.

const UNKNOWN = "–";

const find = (id) => document.getElementById(id);

// An element with attributes and children, which are elements or texts.
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  return fill(made, attributes, children);
}

function graphic(name, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined && value !== false) {
      made.setAttribute(key, value === true ? "" : String(value));
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// Sets a text only if it is another one, so that a screen reader does not read it again.
function setText(target, text) {
  if (target.textContent !== text) {
    target.textContent = text;
  }
}

function number(value) {
  if (value === null || value === undefined) {
    return UNKNOWN;
  }
  if (value >= 9.995e6) {
    return `${(value / 1e6).toFixed(1)} M`;
  }
  if (value >= 99950) {
    return `${(value / 1e3).toFixed(0)} k`;
  }
  return value < 10 && !Number.isInteger(value) ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}

// A whole number with all its digits.
function count(value) {
  return value === null || value === undefined ? UNKNOWN : value.toLocaleString("en");
}

function microseconds(value) {
  if (value === null || value === undefined) {
    return UNKNOWN;
  }
  if (value >= 1e6) {
    return `${(value / 1e6).toFixed(2)} s`;
  }
  if (value >= 1e3) {
    return `${(value / 1e3).toFixed(value >= 1e4 ? 0 : 1)} ms`;
  }
  return `${value.toFixed(value < 10 ? 1 : 0)} µs`;
}

function bytes(value) {
  if (value === null || value === undefined) {
    return UNKNOWN;
  }
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let size = value;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

function percent(value) {
  return value === null || value === undefined ? UNKNOWN : `${(value * 100).toFixed(value < 0.0995 ? 1 : 0)} %`;
}

function duration(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) {
    return `${seconds} s`;
  }
  if (seconds < 3600) {
    return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  }
  const hours = Math.floor(seconds / 3600);
  return hours < 48 ? `${hours} h ${Math.floor((seconds % 3600) / 60)} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

// A line of the last values; gaps where there are none.
function chart(values, name) {
  const width = 120;
  const height = 28;
  const known = values.filter((value) => value !== null && value !== undefined);
  const top = Math.max(...known, 0) || 1;
  let path = "";
  let is_drawing = false;
  values.forEach((value, index) => {
    if (value === null || value === undefined) {
      is_drawing = false;
      return;
    }
    const x = width - (values.length - 1 - index) * (width / (DOCUMENTS_MAX - 1));
    const y = height - 1.5 - (value / top) * (height - 4);
    path += `${is_drawing ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    is_drawing = true;
  });
  return graphic("svg", {
    class: "chart", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img",
    "aria-label": `${name}, the last ${DOCUMENTS_MAX} seconds`,
  }, graphic("path", { d: path }));
}

// A table whose head sorts it. A column has a `title`, the `text` of a row, and the `value` that it is sorted by; `isText` is
// for those that are no numbers. `help` explains it.
class Table {
  constructor(target, name, columns, options) {
    this.columns = columns;
    this.sorted = options.sorted;
    this.is_descending = options.isDescending !== false;
    this.empty = options.empty;
    this.rows_max = 15;
    this.rows = [];
    this.body = element("tbody", { role: "rowgroup" });
    this.heads = columns.map((column, index) => {
      const button = element("button", { type: "button", title: column.help }, column.title);
      button.addEventListener("click", () => this.sort(index));
      return element("th", { scope: "col", role: "columnheader", class: column.isText || index === 0 ? null : "number" }, button);
    });
    this.more = element("button", { type: "button", class: "more", hidden: true });
    this.more.addEventListener("click", () => {
      this.rows_max = this.rows_max === 15 ? Infinity : 15;
      this.show(this.rows);
    });
    this.note = element("p", { class: "muted", hidden: true }, options.empty);
    const head = element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...this.heads));
    this.table = element("table", { role: "table", "aria-label": name }, head, this.body);
    target.append(this.table, this.note, this.more);
  }

  sort(index) {
    const column = this.columns[index];
    this.is_descending = this.sorted === column.title ? !this.is_descending : !column.isText;
    this.sorted = column.title;
    this.show(this.rows);
  }

  show(rows) {
    this.rows = rows;
    const sorted = this.columns.find((column) => column.title === this.sorted);
    this.columns.forEach((column, index) => {
      const order = column === sorted ? (this.is_descending ? "descending" : "ascending") : null;
      if (order === null) {
        this.heads[index].removeAttribute("aria-sort");
      } else {
        this.heads[index].setAttribute("aria-sort", order);
      }
    });
    const direction = this.is_descending ? -1 : 1;
    const compare = (one, other) => {
      const [left, right] = [sorted.value(one), sorted.value(other)];
      if (sorted.isText) {
        return direction * String(left).localeCompare(String(right));
      }
      return direction * ((left ?? -1) - (right ?? -1));
    };
    const listed = [...rows].sort(compare).slice(0, this.rows_max);
    this.body.replaceChildren(...listed.map((row) => this.line(row)));
    this.table.hidden = rows.length === 0;
    this.note.hidden = rows.length > 0;
    this.more.hidden = rows.length <= 15;
    setText(this.more, this.rows_max === 15 ? `Show all ${rows.length}` : "Show fewer");
  }

  line(row) {
    const cells = this.columns.map((column, index) => {
      const text = column.text(row);
      return element(index === 0 ? "th" : "td", {
        scope: index === 0 ? "row" : null,
        role: index === 0 ? "rowheader" : "cell",
        class: column.isText || index === 0 ? null : "number",
        "data-title": column.title,
      }, element("span", {}, text));
    });
    return element("tr", { role: "row" }, ...cells);
  }
}
