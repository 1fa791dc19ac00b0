// The same call in other ways: curl, Python and Airflow's command line, without credentials and secrets.

import { ROOT, commandLine } from "./api.js";
import { copyButton, el, tabs } from "./dom.js";

const shell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

function query(args) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(args)) {
    for (const one of [].concat(value)) params.append(name, typeof one === "object" ? JSON.stringify(one) : one);
  }
  return params.toString();
}

function curl(operation, args, authorization) {
  const url = new URL(`v1/${operation.name}`, ROOT).href;
  const credential = authorization === "Bearer"
    ? '-H "Authorization: Bearer $AIRFLOW_TOKEN"' : '-u "$AIRFLOW_USER:$AIRFLOW_PASSWORD"';
  if (operation.effect === "read") {
    const text = query(args);
    return `curl ${credential} \\\n  ${shell(text ? `${url}?${text}` : url)}`;
  }
  if (Object.values(args).some((value) => value instanceof File)) {
    const parts = Object.entries(args).map(([name, value]) =>
      `-F ${shell(value instanceof File ? `${name}=@${value.name}` : `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`)}`);
    return ["curl -X POST " + credential, ...parts, shell(url)].join(" \\\n  ");
  }
  return ["curl -X POST " + credential, "-H 'Content-Type: application/json'", `-d ${shell(JSON.stringify(args))}`, shell(url)]
    .join(" \\\n  ");
}

function python(operation, args) {
  const words = Object.entries(args).map(([name, value]) =>
    value instanceof File ? [name, `open(${literal(value.name)}, "rb")`] : [name, literal(value)]);
  // The alias of a keyword of Python.
  const plain = words.map(([name, value]) => `${name === "async" ? "in_background" : name}=${value}`);
  return `import native_api\n\nnative_api.call(${[`"${operation.name}"`, ...plain].join(", ")})`;
}

function literal(value) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([name, inner]) => `${JSON.stringify(name)}: ${literal(inner)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}

/** Return the arguments with a placeholder for each secret. */
export function withoutSecrets(operation, args) {
  return Object.fromEntries(Object.entries(args).map(([name, value]) =>
    [name, operation.secret.includes(name) && !(value instanceof File) ? `<${name}>` : value]));
}

/** Return the section, and a function to call when the arguments change. */
export function makeSnippets(operation, authorization, read) {
  const ways = [
    { name: "curl", text: () => curl(operation, withoutSecrets(operation, read()), authorization) },
    { name: "Python", text: () => python(operation, withoutSecrets(operation, read())) },
    { name: "CLI", text: null },
  ].map((way) => ({ ...way, code: el("code", {}) }));
  let current = ways[0];
  let timer = 0;

  async function ask() {
    const args = withoutSecrets(operation, read());
    const files = Object.values(args).some((value) => value instanceof File);
    const line = files ? null : await commandLine(operation.name, args).catch(() => null);
    ways[2].code.textContent = line || "# Airflow has no command for this call, or an argument is missing.";
  }

  function update() {
    clearTimeout(timer);
    if (current.text) current.code.textContent = current.text();
    else timer = setTimeout(ask, 300);
  }

  const section = el("section", { class: "card", "aria-label": "The same call elsewhere" },
    tabs("The same call elsewhere", ways.map((way) => ({
      name: way.name,
      content: el("div", { class: "snippet" }, el("pre", {}, way.code), copyButton("Copy", () => way.code.textContent)),
      shown: () => { current = way; update(); },
    }))));
  return { section, update };
}
