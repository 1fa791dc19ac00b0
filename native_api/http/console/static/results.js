// The display of a response: a table, a log, or values; for a problem its detail.

import { copyButton, el, fill, tabs } from "./dom.js";

const ROWS = 100;
const LOG_CHARACTERS = 256 * 1024;
const LOGS = ["content", "log", "source"];
/** The columns that come first, since they identify a row. */
const FIRST_COLUMNS = ["dag_id", "run_id", "task_id", "map_index", "state"];

/** Return the header of a response: its status, its duration, and a button that copies it. */
export function head(response, note) {
  const kind = response.ok ? "good" : "bad";
  return el("div", { class: "result-head" },
    el("h2", {}, "Response"),
    el("span", { class: `badge ${kind}` }, `${response.status} ${response.reason}`.trim()),
    el("span", { class: "muted" }, `${response.milliseconds.toLocaleString("en")} ms`),
    note ? el("span", { class: "badge" }, note) : null,
    el("span", { class: "grow" }),
    copyButton("Copy JSON", () => pretty(response)));
}

function pretty(response) {
  return response.json === null ? response.text : JSON.stringify(response.json, null, 2);
}

/** Return a successful response, formatted and raw. */
export function body(response) {
  const raw = el("pre", { class: "raw", tabindex: "0" });
  return tabs("Response", [
    { name: "Formatted", content: formatted(response.json) },
    { name: "JSON", content: raw, shown: () => { if (!raw.textContent) fill(raw, shortened(pretty(response), raw)); } },
  ]);
}

function shortened(text) {
  return text.length > 2 * LOG_CHARACTERS
    ? `${text.slice(0, 2 * LOG_CHARACTERS)}\n… (${text.length.toLocaleString("en")} characters; Copy JSON has them all)`
    : text;
}

function formatted(result) {
  if (result === null || typeof result !== "object" || Array.isArray(result)) return value(result);
  const entries = Object.entries(result);
  const parts = [];
  if (result.warnings && result.warnings.length) parts.push(el("ul", { class: "warnings" }, result.warnings.map((text) => el("li", {}, text))));
  const facts = entries.filter(([name, inner]) => !isLog(name, inner) && !isTable(inner) && name !== "warnings"
    && inner !== null && inner !== "" && !isAlias(name, result) && !(name === "lines" && "content" in result));
  if (result.exception && result.state === "failed") {
    parts.push(el("p", { class: "sentence", role: "alert" }, `The task failed: ${result.exception}: ${result.message}`));
  }
  const tables = entries.filter(([name, inner]) => isTable(inner) && !(name === "lines" && "content" in result));
  const logs = entries.filter(([name, inner]) => isLog(name, inner));
  if (facts.length) {
    parts.push(el("dl", { class: "facts" }, facts.map(([name, inner]) => [el("dt", {}, name), el("dd", {}, value(inner, name))])));
  }
  for (const [name, inner] of tables) parts.push(table(name, inner));
  for (const [name, inner] of logs) parts.push(log(name, inner));
  if (!parts.length) parts.push(el("p", { class: "muted" }, "The result is empty."));
  return el("div", {}, parts);
}

const isLog = (name, inner) => LOGS.includes(name) && typeof inner === "string" && inner !== "";
const isTable = (inner) => Array.isArray(inner) && inner.length > 0 && inner.every((row) => row && typeof row === "object" && !Array.isArray(row));

function value(inner, name = "") {
  if (inner === null || inner === undefined) return el("span", { class: "muted" }, "none");
  if (typeof inner === "boolean") return inner ? "true" : "false";
  if (/(^|_)state$|^status$/.test(name) && typeof inner === "string") return state(inner);
  if (Array.isArray(inner)) {
    if (!inner.length) return el("span", { class: "muted" }, "none");
    if (inner.every((one) => one === null || typeof one !== "object")) return inner.join(", ");
  }
  if (typeof inner === "object") return el("pre", { class: "value" }, JSON.stringify(inner, null, 2));
  const text = String(inner);
  return text.includes("\n") ? el("pre", { class: "value" }, text) : text;
}

/** Return a state as Airflow shows it. */
export function state(name) {
  return el("span", { class: "state" }, el("span", { class: `dot ${/^[a-z_]+$/.test(name) ? name : ""}` }), name);
}

/** Whether a field is the alias of another field of the row; the JSON has both. */
const isAlias = (name, row) => name === "execution_date" && "logical_date" in row;

function placeOf(column) {
  const place = FIRST_COLUMNS.indexOf(column);
  return place < 0 ? FIRST_COLUMNS.length : place;
}

function table(name, rows) {
  const columns = [...new Set(rows.slice(0, ROWS).flatMap(Object.keys))]
    .filter((column) => rows.some((row) => cell(row[column], column) !== ""))
    .filter((column) => !isAlias(column, rows[0]))
    .sort((one, other) => placeOf(one) - placeOf(other));
  const content = el("tbody", {});
  const count = el("span", { class: "muted", "aria-live": "polite" });
  let first = 0;
  const back = el("button", { type: "button", class: "small", onclick: () => show(first - ROWS) }, "Previous");
  const on = el("button", { type: "button", class: "small", onclick: () => show(first + ROWS) }, "Next");

  function show(from) {
    first = Math.max(0, Math.min(from, rows.length - 1));
    const page = rows.slice(first, first + ROWS);
    fill(content, ...page.map((row) => el("tr", {}, columns.map((column) => el("td", {}, cell(row[column], column))))));
    count.textContent = rows.length > ROWS
      ? `${(first + 1).toLocaleString("en")} to ${(first + page.length).toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`
      : `${rows.length} ${rows.length === 1 ? "row" : "rows"}`;
    back.disabled = first === 0;
    on.disabled = first + ROWS >= rows.length;
  }

  show(0);
  const heads = columns.map((column) => el("th", { scope: "col" }, column));
  return el("div", { class: "table" },
    el("div", { class: "table-head" }, el("h3", {}, name), count, rows.length > ROWS ? [back, on] : null),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name },
      el("table", {}, el("thead", {}, el("tr", {}, heads)), content)));
}

function cell(inner, column) {
  if (inner === null || inner === undefined) return "";
  if (typeof inner === "object") {
    const text = Array.isArray(inner) && inner.every((one) => typeof one !== "object") ? inner.join(", ") : JSON.stringify(inner);
    return text === "{}" ? "" : text;
  }
  return typeof inner === "string" && inner.includes("\n") ? el("pre", {}, inner) : value(inner, column);
}

/** Return a log; of a long one its tail. */
export function log(name, text) {
  const pre = el("pre", { class: name === "source" ? "log source" : "log", tabindex: "0", role: "region", "aria-label": name });
  const isLong = text.length > LOG_CHARACTERS;
  const tail = () => text.slice(text.indexOf("\n", text.length - LOG_CHARACTERS) + 1);
  pre.textContent = isLong && name !== "source" ? tail() : text;
  const note = el("span", { class: "muted" }, isLong ? `the end of ${text.length.toLocaleString("en")} characters` : "");
  const all = el("button", { type: "button", class: "small" }, "Show all");
  all.addEventListener("click", () => {
    pre.textContent = text;
    note.textContent = `${text.length.toLocaleString("en")} characters`;
    all.remove();
    pre.focus();
  });
  const section = el("div", { class: "log-box" },
    el("div", { class: "table-head" }, el("h3", {}, name), note, isLong && name !== "source" ? all : null, el("span", { class: "grow" }),
      copyButton("Copy", () => text)), pre);
  if (name !== "source") requestAnimationFrame(() => (pre.scrollTop = pre.scrollHeight));
  return section;
}

/** Return a problem: its detail, the errors of other fields, and the raw response. */
export function problem(response, unplaced) {
  const details = response.json || {};
  const sentence = details.detail || response.text.slice(0, 2000) || response.reason;
  const errors = Object.entries(unplaced).map(([name, sentences]) => el("li", {}, `${name}: ${sentences.join(" ")}`));
  const known = ["type", "title", "status", "detail", "code", "errors"];
  const more = Object.entries(details).filter(([name, inner]) => !known.includes(name) && inner !== null && typeof inner === "object");
  return el("div", { class: "problem" },
    el("p", { class: "sentence", role: "alert" }, sentence),
    details.code ? el("p", { class: "muted" }, "Code: ", el("code", {}, details.code)) : null,
    errors.length ? el("ul", {}, errors) : null,
    more.map(([name, inner]) => (name === "import_errors" && isTable(inner) ? importErrors(inner)
      : isTable(inner) ? table(name, inner) : null)),
    el("details", {}, el("summary", {}, "Raw response"), el("pre", { class: "raw", tabindex: "0" }, pretty(response))));
}

/** Return the import errors of a file, with the line where each is. */
function importErrors(errors) {
  return errors.map(({ file, filename = file, stacktrace }) => {
    const lines = [...String(stacktrace).matchAll(/File "([^"]+)", line (\d+)/g)];
    const own = lines.filter(([, file]) => filename && (file === filename || file.endsWith(`/${filename.split("/").pop()}`))).pop() || lines.pop();
    const place = own ? `${filename}, line ${own[2]}` : filename;
    return el("div", { class: "import-error" }, el("h3", {}, place), el("pre", { class: "log", tabindex: "0", role: "region", "aria-label": "Stack trace" }, stacktrace));
  });
}
