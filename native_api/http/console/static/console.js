// The page: the list of operations, and the form, the response and the snippets of one.

import { SessionEnded, login, offers, openapi, request } from "./api.js";
import { announce, ask, copyButton, el, fill } from "./dom.js";
import { makeForm } from "./form.js";
import { restoreLink } from "./link.js";
import { follow, isLive } from "./progress.js";
import * as results from "./results.js";
import { makeSnippets, withoutSecrets } from "./snippets.js";
import { descriptionOf, fieldsOf, isAvailable, titleOf } from "./spec.js";

const main = document.getElementById("main");
const search = document.getElementById("search");
const navigation = document.getElementById("operations");

const EFFECTS = {
  read: { badge: "Reads" },
  write: { badge: "Changes data", notice: "This changes Airflow's metadata database." },
  execute: { badge: "Executes code", notice: "This executes DAG code on the server." },
  deploy: { badge: "Deploys code", notice: "This changes the DAG files that Airflow executes." },
  daemon: { badge: "Starts processes", notice: "This starts or stops processes of Airflow." },
};

const COMMON = ["trigger_dag", "list_dag_runs", "task_log", "test_task", "clear_tasks", "backfill_dag", "task_failed_deps",
  "list_import_errors", "deploy_dag", "health"];

/** The maximum number of parts of a log to load, of 1 MiB each. */
const MOST_PARTS = 64;

let offered;
let byName;
let spec;
/** The calls of this visit, the newest first; in memory only, since they can contain secrets. */
const calls = [];

// The list of operations

function group() {
  const tags = new Map();
  for (const operation of offered.operations) {
    if (!tags.has(operation.tag)) tags.set(operation.tag, []);
    tags.get(operation.tag).push(operation);
  }
  return [...tags].sort(([one], [other]) => one.localeCompare(other));
}

function showList() {
  const words = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (operation) => {
    const text = `${operation.name} ${titleOf(operation.name)} ${operation.summary} ${operation.tag} ${operation.legacy.join(" ")}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const groups = group().map(([tag, operations]) => [tag, operations.filter(fits)]).filter(([, found]) => found.length);
  const current = route().name;
  fill(navigation, ...groups.map(([tag, operations]) =>
    el("details", { open: words.length > 0 || operations.some(({ name }) => name === current) || matchMedia("(min-width: 60rem)").matches },
      el("summary", {}, tag, el("span", { class: "count" }, String(operations.length))),
      el("ul", {}, operations.map((operation) => el("li", {},
        el("a", { href: `#${operation.name}`, title: operation.summary, "aria-current": operation.name === current ? "page" : null },
          el("span", { class: `effect ${operation.effect}`, "aria-hidden": "true" }),
          el("span", {}, titleOf(operation.name)),
          operation.legacy.length && operation.legacy[0] !== operation.name
            ? el("span", { class: "legacy", title: "Name in the old protocol" }, el("span", { class: "hidden" }, ", old name "), shortLegacy(operation)) : null)))))));
  if (!groups.length) fill(navigation, el("p", { class: "loading" }, "No operation matches."));
  if (words.length) announce(`${groups.reduce((sum, [, found]) => sum + found.length, 0)} operations`);
}

function shortLegacy({ legacy }) {
  return legacy.length > 2 ? `${legacy[0]}, …` : legacy.join(", ");
}

function markCurrent(name) {
  for (const link of navigation.querySelectorAll("a")) {
    if (link.hash === `#${name}`) {
      link.setAttribute("aria-current", "page");
      link.closest("details").open = true;
      link.scrollIntoView({ block: "nearest" });
    } else link.removeAttribute("aria-current");
  }
}

// Addresses: #operation?argument=value

function route() {
  const [name, query] = location.hash.slice(1).split(/\?(.*)/s);
  return { name: decodeURIComponent(name || ""), query: new URLSearchParams(query || "") };
}

function valuesOf(query, fields, aliases) {
  const values = {};
  for (const [given, text] of query) {
    const name = aliases[given] || given;
    const field = fields.find((one) => one.name === name);
    if (!field || field.secret || field.kind === "file") continue;
    if (["object", "import", "any"].includes(field.kind)) values[name] = json(text);
    else if (field.kind === "array") values[name] = [...(values[name] || []), text];
    else if (field.kind === "boolean") values[name] = text === "true";
    else values[name] = text;
  }
  return values;
}

function json(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function linkTo(operation, args) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(args)) {
    if (operation.secret.includes(name) || value instanceof File) continue;
    if (Array.isArray(value)) value.forEach((one) => params.append(name, one));
    else params.append(name, typeof value === "object" ? JSON.stringify(value) : value);
  }
  const query = params.toString();
  return `#${operation.name}${query ? `?${query}` : ""}`;
}

// Pages

function showHome() {
  document.body.dataset.view = "list";
  document.title = "Native API";
  const common = COMMON.filter((name) => byName.has(name));
  fill(main, 
    el("h1", {}, "Native API"),
    el("p", { class: "lead" }, "Call Airflow's command-line operations from this page: choose one, fill its form, send it."),
    el("div", { class: "cards" }, common.map((name) => el("a", { class: "card link", href: `#${name}` },
      el("strong", {}, titleOf(name)), el("span", {}, byName.get(name).summary)))),
    history(),
    refused());
}

function refused() {
  if (!offered.refused.length) return null;
  const reasons = new Map();
  for (const { name, reason } of offered.refused) reasons.set(reason, [...(reasons.get(reason) || []), name]);
  return el("details", { class: "refused" }, el("summary", {}, `Not available to you (${offered.refused.length})`),
    el("dl", { class: "facts" }, [...reasons].map(([reason, names]) => [el("dt", {}, names.join(", ")), el("dd", {}, reason)])));
}

function showOperation(operation, query) {
  document.body.dataset.view = "form";
  document.title = `${titleOf(operation.name)} – Native API`;
  const { fields: all, aliases } = fieldsOf(spec, operation);
  const given = query instanceof URLSearchParams ? valuesOf(query, all, aliases) : query;
  // Others are shown if a link names them.
  const fields = all.filter((field) => isAvailable(field, offered.airflow_version) || field.name in given);
  const effect = EFFECTS[operation.effect];
  const hasDryRun = fields.some(({ name }) => name === "dry_run");
  const title = titleOf(operation.name);
  const output = el("section", { class: "card output", "aria-label": "Response", hidden: true });
  const past = el("div", {}, history());
  const form = makeForm(operation, fields, new Set(byName.keys()), () => snippets.update());
  const snippets = makeSnippets(operation, offered.authorization, form.read);
  let triedDry = null;
  let busy = false;

  const call = (label, kind, dry) => el("button", { type: "button", class: kind, onclick: () => submit(dry) }, label);
  const sending = hasDryRun
    ? [call("Dry run", "primary", true), call(`${title}…`, operation.name.startsWith("delete") ? "danger" : "", false)]
    : [call(operation.effect === "read" ? title : `${title}…`, /^(delete|cancel|stop)/.test(operation.name) ? "danger" : "primary", false)];

  form.element.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(hasDryRun);
  });

  async function submit(dry) {
    if (busy || !form.check()) return;
    const args = form.read();
    if (!dry && !(await isConfirmed(args))) return;
    await send(dry ? { ...args, dry_run: true } : hasDryRun ? { ...args, dry_run: false } : args);
  }

  async function isConfirmed(args) {
    if (operation.effect === "read") return true;
    const untried = hasDryRun && triedDry !== JSON.stringify(args);
    const shown = Object.entries(withoutSecrets(operation, args));
    const answer = await ask(`${title}?`, [
      el("p", { class: "warning" }, effect.notice),
      el("p", {}, `As ${offered.user}, with ${shown.length ? "these arguments:" : "no arguments."}`),
      el("dl", { class: "facts" }, shown.map(([name, value]) => [el("dt", {}, name), el("dd", {},
        value instanceof File ? value.name : typeof value === "object" ? JSON.stringify(value) : String(value).slice(0, 500))])),
      untried ? el("p", { class: "muted" }, "There was no dry run with these arguments.") : null,
    ], [
      { label: "Back", value: "" },
      ...(untried ? [{ label: "Dry run first", value: "dry" }] : []),
      { label: title, value: "yes", kind: /^(delete|cancel|stop)/.test(operation.name) ? "danger" : "primary" },
    ]);
    if (answer === "dry") await send({ ...args, dry_run: true });
    return answer === "yes";
  }

  async function send(args) {
    busy = true;
    for (const button of sending) button.disabled = true;
    output.hidden = false;
    fill(output, el("p", { class: "loading" }, el("span", { class: "spinner", "aria-hidden": "true" }), "Sending…"));
    output.setAttribute("aria-busy", "true");
    try {
      const response = await sent(operation, args);
      if (args.dry_run === true && response.ok) triedDry = JSON.stringify(form.read());
      remember(operation, args, response);
      fill(past, history());
      showResponse(response, args);
    } catch (error) {
      fill(output, ...failure(error));
    } finally {
      busy = false;
      for (const button of sending) button.disabled = false;
      output.removeAttribute("aria-busy");
    }
    output.scrollIntoView({ block: "nearest" });
  }

  function showResponse(response, args) {
    const isDry = args.dry_run === true;
    const unplaced = form.complain((response.json && response.json.errors) || {});
    const parts = [results.head(response, isDry ? "Dry run" : null)];
    if (!response.ok) {
      fill(output, ...parts, results.problem(response, unplaced));
      return;
    }
    announce(`${title}: ${response.status} ${response.reason}`);
    if (isDry) {
      parts.push(el("div", { class: "note" }, el("span", {}, "This was a dry run: nothing was changed. "), call(`${title}…`, "small", false)));
    }
    const followed = followedBy(operation, args, response);
    if (followed) parts.push(following(followed));
    if (response.json.continuation_token && !response.json.end_of_log) parts.push(readingOn(response, args));
    parts.push(results.body(response));
    fill(output, ...parts);
  }

  /** Return a button that loads the remaining parts of a log. */
  function readingOn(response, args) {
    const button = el("button", { type: "button", class: "small" }, "Load the whole log");
    const note = el("div", { class: "note" }, el("span", {}, "This is the first part of the log."), button);
    button.addEventListener("click", async () => {
      button.disabled = true;
      let part = response.json;
      const texts = [part.content];
      for (let parts = 1; parts < MOST_PARTS && part.continuation_token && !part.end_of_log && part.content; parts += 1) {
        fill(note, el("span", { class: "spinner", "aria-hidden": "true" }), `Reading part ${parts + 1}…`, el("span", { class: "grow" }));
        const next = await sent(operation, { ...args, continuation_token: part.continuation_token });
        if (!next.ok) break;
        part = next.json;
        texts.push(part.content);
      }
      const whole = { ...response, json: { ...part, content: texts.join("") } };
      fill(output, results.head(whole), results.body(whole));
      announce("The log is complete.");
    });
    return note;
  }

  function following({ url, title: label, cancelling }) {
    const isShown = () => main.contains(output);
    const cancel = cancelling && byName.has(cancelling.name) ? async () => {
      const answer = await ask(`${titleOf(cancelling.name)}?`, [el("p", {}, byName.get(cancelling.name).summary)],
        [{ label: "Back", value: "" }, { label: titleOf(cancelling.name), value: "yes", kind: "danger" }]);
      if (answer !== "yes") return false;
      const response = await sent(byName.get(cancelling.name), cancelling.args);
      remember(byName.get(cancelling.name), cancelling.args, response);
      announce(response.ok ? "Cancelled" : response.json.detail);
      return response.ok;
    } : null;
    const done = (response) => {
      const old = output.querySelector(":scope > .tabbed");
      if (old) old.replaceWith(results.body(response));
    };
    return follow(url, { title: label, cancel, done, isShown });
  }

  const link = el("div", { class: "buttons" }, sending, el("span", { class: "grow" }),
    el("button", { type: "button", class: "small", onclick: () => { form.fill({}); snippets.update(); } }, "Reset"),
    copyButton("Copy link", () => new URL(linkTo(operation, form.read()), location.href).href));
  fill(main, 
    el("p", { class: "back" }, el("a", { href: "#" }, "← All operations")),
    el("div", { class: "title" }, el("h1", {}, title), el("span", { class: `badge ${operation.effect}` }, effect.badge)),
    el("p", { class: "lead" }, operation.summary),
    el("p", { class: "names" }, el("code", {}, operation.name),
      operation.legacy.length ? ["  Old protocol: ", el("code", {}, operation.legacy.map((name) => `api=${name}`).join(", "))] : null),
    details(operation),
    el("section", { class: "card", "aria-label": "Call" }, form.element,
      effect.notice ? el("p", { class: "warning" }, effect.notice) : null, link),
    output, snippets.section, past);
  form.fill(given);
  snippets.update();
  return { send: (args) => { form.fill(args); return args.dry_run === undefined || args.dry_run ? submit(hasDryRun) : submit(false); } };
}

function details(operation) {
  const paragraphs = descriptionOf(spec, operation);
  if (!paragraphs.length) return null;
  return el("details", { class: "about-operation" }, el("summary", {}, "Description"), paragraphs.map((text) => el("p", {}, text)));
}

/** Return the URL that returns the state of the work, and the operation that cancels it. */
function followedBy(operation, args, response) {
  const result = response.json;
  if (response.status === 202 && result.url) {
    return { url: new URL(result.url, location.href), ...(result.backfill_id === undefined
      ? ofJob(result.job_id, result.operation) : ofBackfill(result.backfill_id, result.dag_id)) };
  }
  if (!isLive(result)) return null;
  if (operation.name === "backfill_state") {
    return { url: `v1/backfill_state?backfill_id=${args.backfill_id}`, ...ofBackfill(args.backfill_id, result.dag_id) };
  }
  if (operation.name === "job_state") {
    return { url: `v1/job_state?job_id=${encodeURIComponent(args.job_id)}`, ...ofJob(args.job_id, result.operation) };
  }
  return null;
}

const ofBackfill = (id, dagId) => ({ title: `Backfill ${id} of ${dagId}`, cancelling: { name: "cancel_backfill", args: { backfill_id: Number(id) } } });
const ofJob = (id, name) => ({ title: `Job: ${name}`, cancelling: { name: "cancel_job", args: { job_id: id } } });

async function sent(operation, args) {
  const url = `v1/${operation.name}`;
  if (operation.effect === "read") {
    const query = Object.entries(args).flatMap(([name, value]) =>
      [].concat(value).map((one) => [name, typeof one === "object" ? JSON.stringify(one) : one]));
    return request("GET", url, { query });
  }
  if (!Object.values(args).some((value) => value instanceof File)) return request("POST", url, { body: args });
  const form = new FormData();
  for (const [name, value] of Object.entries(args)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      form.append(name, one instanceof File || typeof one !== "object" ? one : JSON.stringify(one));
    }
  }
  return request("POST", url, { body: form });
}

// The calls of this visit

function remember(operation, args, response) {
  calls.unshift({ operation, args, status: response.status, ok: response.ok, milliseconds: response.milliseconds, at: new Date() });
  calls.length = Math.min(calls.length, 50);
}

function history() {
  if (!calls.length) return null;
  return el("section", { class: "card history", "aria-label": "Calls of this visit" }, el("h2", {}, "Calls of this visit"),
    el("ul", {}, calls.slice(0, 10).map((call) => el("li", {},
      el("span", { class: `badge ${call.ok ? "good" : "bad"}` }, String(call.status)),
      el("span", { class: "call" }, titleOf(call.operation.name),
        el("span", { class: "muted" }, ` ${summaryOf(call)}`)),
      el("time", { class: "muted", datetime: call.at.toISOString() }, call.at.toLocaleTimeString()),
      el("button", { type: "button", class: "small", "aria-label": `Repeat ${titleOf(call.operation.name)} ${summaryOf(call)}`,
        onclick: () => repeat(call) }, "Repeat")))));
}

function summaryOf({ operation, args }) {
  return Object.entries(withoutSecrets(operation, args)).filter(([name]) => name !== "dry_run")
    .map(([name, value]) => `${name}=${value instanceof File ? value.name : typeof value === "object" ? JSON.stringify(value) : value}`)
    .join(" ").slice(0, 120) + (args.dry_run === true ? " (dry run)" : "");
}

function repeat({ operation, args }) {
  leaveRouteAlone = true;
  window.history.replaceState(null, "", `#${operation.name}`);
  markCurrent(operation.name);
  const page = showOperation(operation, args);
  leaveRouteAlone = false;
  page.send(args);
}

let leaveRouteAlone = false;

// Beginning

function failure(error) {
  if (error instanceof SessionEnded) {
    return [el("p", { role: "alert" }, "Your session has expired. "), el("button", { type: "button", class: "primary", onclick: login }, "Log in")];
  }
  return [el("p", { class: "sentence", role: "alert" }, `The server cannot be reached: ${error.message}`)];
}

function showRoute() {
  if (leaveRouteAlone) return;
  const { name, query } = route();
  markCurrent(name);
  if (byName.has(name)) showOperation(byName.get(name), query);
  else if (name) {
    const refusal = offered.refused.find((one) => one.name === name);
    document.body.dataset.view = "form";
    fill(main, el("p", { class: "back" }, el("a", { href: "#" }, "← All operations")), el("h1", {}, titleOf(name)),
      el("p", { role: "alert" }, refusal ? refusal.reason : "There is no such operation."));
  } else showHome();
}

function openFirst(event) {
  const first = navigation.querySelector("details[open] a");
  if (event.key === "Enter" && first) location.hash = first.hash;
}

async function begin() {
  restoreLink();
  try {
    offered = await offers();
    byName = new Map(offered.operations.map((operation) => [operation.name, operation]));
    document.getElementById("who").textContent = `${offered.user} · Airflow ${offered.airflow_version}`;
    showList();
    search.addEventListener("input", showList);
    search.addEventListener("keydown", openFirst);
    if (!route().name) showHome();
    // Most of what a visit loads; the list does not wait for it.
    spec = await openapi();
  } catch (error) {
    if (error instanceof SessionEnded) login();
    else fill(main, ...failure(error));
    return;
  }
  showRoute();
  addEventListener("hashchange", () => {
    showRoute();
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  });
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
}

begin();
