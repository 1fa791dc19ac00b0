// A combobox that asks the API while a person types (WAI-ARIA's list autocomplete).

import { list } from "./api.js";
import { el, fill, uid } from "./dom.js";

const LIMIT = 30;
const PAUSE_MS = 200;

/** The source of suggestions for a field: the operation, its list, the value and the text beside it. */
const SOURCES = {
  dag_id: {
    operation: "list_dags", key: "dags", value: "dag_id", pattern: "dag_id_pattern",
    about: (dag) => (dag.is_paused ? "paused" : ""),
  },
  run_id: {
    operation: "list_dag_runs", key: "dag_runs", value: "run_id", needs: ["dag_id"],
    query: { order_by: "-logical_date", limit: 100 }, about: (run) => run.state,
  },
  task_id: {
    operation: "list_tasks", key: "tasks", value: "task_id", pattern: "task_id_pattern", needs: ["dag_id"],
    about: (task) => task.operator || "",
  },
  key: { operation: "list_variables", key: "variables", value: "key", pattern: "key_pattern" },
  conn_id: {
    operation: "list_connections", key: "connections", value: "conn_id", pattern: "conn_id_pattern",
    about: (connection) => connection.conn_type || "",
  },
  pool: { operation: "list_pools", key: "pools", value: "name", pattern: "name_pattern" },
  backfill_id: {
    operation: "list_backfills", key: "backfills", value: "backfill_id", query: { order_by: "-backfill_id" },
    about: (backfill) => `${backfill.dag_id}, ${backfill.state}`,
  },
  job_id: { operation: "list_jobs", key: "jobs", value: "job_id", about: (job) => `${job.operation}, ${job.state}` },
  daemon: { operation: "list_daemons", key: "daemons", value: "name", about: (daemon) => daemon.state },
};

/** Return the source for a field, or undefined; *offered* are the names of the operations that the user can call. */
export function sourceOf(field, operation, offered) {
  let name = field.name;
  if (name === "name") name = { Pools: "pool", Daemons: "daemon" }[operation.tag];
  if (name === "key" && operation.tag !== "Variables") return undefined;
  if ((name === "run_id" && operation.name === "trigger_dag") || operation.name === "start_daemon") return undefined;
  const source = SOURCES[name];
  return source && offered.has(source.operation) ? source : undefined;
}

/** Make *input* a combobox; *valueOf* returns the value of another field of the form. */
export function picker(input, source, valueOf) {
  const box = el("ul", { role: "listbox", id: uid("options"), class: "options", "aria-label": "Suggestions", hidden: true });
  let options = [];
  let active = -1;
  let timer = 0;
  let asked = null;
  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-expanded", "false");
  input.setAttribute("aria-controls", box.id);

  function close() {
    box.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function mark(index) {
    active = index;
    [...box.children].forEach((option, place) => option.setAttribute("aria-selected", String(place === index)));
    const option = box.children[index];
    if (!option) return;
    input.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  }

  function choose(index) {
    input.value = options[index].value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    clearTimeout(timer);
    close();
  }

  function show(entries) {
    options = entries;
    fill(box, ...entries.map(({ value, about }, index) =>
      el("li", {
        role: "option", id: uid("option"), "aria-selected": "false",
        // Not a click, before which the input would lose the focus.
        onmousedown: (event) => { event.preventDefault(); choose(index); },
      }, el("span", {}, value), about ? el("span", { class: "about" }, about) : null)));
    box.hidden = !entries.length;
    input.setAttribute("aria-expanded", String(Boolean(entries.length)));
    active = -1;
    input.removeAttribute("aria-activedescendant");
  }

  async function look() {
    if (asked) asked.abort();
    asked = new AbortController();
    const { signal } = asked;
    const query = { limit: LIMIT, ...source.query };
    for (const name of source.needs || []) {
      if (!valueOf(name)) return close();
      query[name] = valueOf(name);
    }
    const typed = input.value.trim();
    if (source.pattern && typed) query[source.pattern] = typed;
    if (source.operation === "list_daemons") delete query.limit;
    let entries;
    try {
      entries = await list(source.operation, source.key, query, signal);
    } catch {
      return close();
    }
    if (signal.aborted || document.activeElement !== input) return undefined;
    const found = entries
      .map((entry) => ({ value: String(entry[source.value]), about: source.about ? source.about(entry) : "" }))
      .filter(({ value }) => source.pattern || value.toLowerCase().includes(typed.toLowerCase()));
    if (found.length === 1 && found[0].value === typed) return close();
    return show(found.slice(0, LIMIT));
  }

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE_MS);
  });
  input.addEventListener("click", look);
  input.addEventListener("blur", () => {
    clearTimeout(timer);
    if (asked) asked.abort();
    close();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && box.hidden) look();
    else if (event.key === "ArrowDown") mark((active + 1) % options.length);
    else if (event.key === "ArrowUp" && !box.hidden) mark((active - 1 + options.length) % options.length);
    else if (event.key === "Enter" && active >= 0) choose(active);
    else if (event.key === "Escape" && !box.hidden) close();
    else return;
    event.preventDefault();
  });
  return el("div", { class: "picker" }, input, box);
}
