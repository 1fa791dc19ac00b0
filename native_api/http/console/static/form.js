// A form made from the schema of an operation's request.

import { el, uid } from "./dom.js";
import { picker, sourceOf } from "./picker.js";
import { isProminent } from "./spec.js";

const LONG = new Set(["description", "note", "conn_uri"]);

/** Return a form with its functions; *changed* is called on each change. */
export function makeForm(operation, fields, offered, changed) {
  const shownFields = fields.filter((field) => field.name !== "dry_run");
  const inputs = new Map();
  const valueOf = (name) => (inputs.has(name) ? inputs.get(name).text() : "");
  for (const field of shownFields) inputs.set(field.name, makeInput(field, operation, offered, valueOf));
  const prominent = shownFields.filter(isProminent);
  const folded = shownFields.filter((field) => !isProminent(field));
  const more = el("details", { class: "more" },
    el("summary", {}, `More arguments (${folded.length})`), folded.map((field) => inputs.get(field.name).row));
  const element = el("form", { novalidate: true, class: "form", "aria-label": "Arguments" },
    prominent.map((field) => inputs.get(field.name).row), folded.length ? more : null);
  element.addEventListener("input", changed);
  element.addEventListener("change", changed);

  function fill(values) {
    for (const [name, input] of inputs) {
      input.set(values[name]);
      if (values[name] !== undefined && folded.some((field) => field.name === name)) more.open = true;
    }
  }

  /** Return the arguments, by name; files as such. */
  function read() {
    const values = {};
    for (const [name, input] of inputs) {
      const value = input.get();
      if (value !== undefined) values[name] = value;
    }
    return values;
  }

  /** Show errors beside their inputs; return those without an input. */
  function complain(errors) {
    const left = {};
    let first = null;
    for (const input of inputs.values()) input.complain([]);
    for (const [name, wrong] of Object.entries(errors)) {
      const sentences = flat(wrong);
      const input = inputs.get(name);
      if (!input) {
        left[name] = sentences;
        continue;
      }
      input.complain(sentences);
      if (more.contains(input.row)) more.open = true;
      first = first || input;
    }
    if (first) first.focus();
    return left;
  }

  /** Return the errors that are found without the server. */
  function check() {
    const errors = {};
    for (const field of shownFields) {
      const wrong = inputs.get(field.name).problem();
      if (wrong) errors[field.name] = [wrong];
      else if (field.required && inputs.get(field.name).get() === undefined) errors[field.name] = ["This field is required."];
    }
    complain(errors);
    return Object.keys(errors).length === 0;
  }

  return { element, fill, read, complain, check };
}

function flat(wrong) {
  if (typeof wrong === "string") return [wrong];
  if (Array.isArray(wrong)) return wrong.flatMap(flat);
  return Object.entries(wrong).flatMap(([name, inner]) => flat(inner).map((sentence) => `${name}: ${sentence}`));
}

/** Return the row of a field, and functions to read and set its value; undefined is no value. */
function makeInput(field, operation, offered, valueOf) {
  const id = uid("field");
  const [help, wrong] = [`${id}-help`, `${id}-wrong`];
  const made = CONTROLS[field.kind] ? CONTROLS[field.kind](field, id) : textControl(field, id);
  const control = made.control;
  control.id = id;
  if (field.required) control.setAttribute("aria-required", "true");
  control.setAttribute("aria-describedby", `${help} ${wrong}`);
  const source = control.tagName === "INPUT" && control.type === "text" && sourceOf(field, operation, offered);
  const shown = source ? picker(control, source, valueOf) : made.element || control;
  const error = el("p", { id: wrong, class: "wrong" });
  const label = el("label", { for: id }, field.name, field.required ? el("span", { class: "required" }, " required") : null);
  const note = el("p", { id: help, class: "help" }, sentence(field));
  const row = field.kind === "boolean"
    ? el("div", { class: "row flag" }, control, el("div", {}, label, note, error))
    : el("div", { class: "row" }, label, shown, error, note);

  function complain(sentences) {
    error.textContent = sentences.join(" ");
    row.classList.toggle("has-error", Boolean(sentences.length));
    if (sentences.length) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  }

  const problem = made.problem || (() => null);
  control.addEventListener("input", () => complain(problem() ? [problem()] : []));
  return {
    row, complain, problem,
    get: made.get,
    set: (value) => { complain([]); made.set(value); },
    text: () => String(control.value || "").trim(),
    focus: () => control.focus(),
  };
}

function sentence({ description, schema }) {
  const preset = schema.default;
  const shown = preset !== undefined && preset !== null && preset !== false && !schema.enum;
  return shown ? `${description} Default: ${preset}.` : description;
}

const CONTROLS = {
  boolean(field) {
    const preset = Boolean(field.schema.default);
    const control = el("input", { type: "checkbox" });
    control.checked = preset;
    return {
      control,
      get: () => (control.checked === preset ? undefined : control.checked),
      set: (value) => (control.checked = value === undefined ? preset : value === true || value === "true"),
    };
  },

  choice(field) {
    const preset = field.schema.default;
    const control = el("select", {});
    if (preset === undefined) control.append(el("option", { value: "" }, field.required ? "Choose…" : "Not set"));
    for (const value of field.schema.enum) {
      control.append(el("option", { value }, value === preset ? `${value} (default)` : value));
    }
    const empty = preset === undefined ? "" : preset;
    control.value = empty;
    return {
      control,
      get: () => (control.value === empty ? undefined : control.value),
      set: (value) => (control.value = value === undefined ? empty : value),
    };
  },

  date(field) {
    const control = el("input", { type: "text", placeholder: "2026-01-31 00:00", autocomplete: "off", spellcheck: "false" });
    // The calendar only fills the text, which can also have seconds and an offset.
    const calendar = el("input", { type: "datetime-local", step: "1", class: "calendar", tabindex: "-1", "aria-hidden": "true" });
    calendar.addEventListener("input", () => {
      control.value = calendar.value.replace("T", " ");
      control.dispatchEvent(new Event("input", { bubbles: true }));
    });
    const button = el("button", { type: "button", class: "small", "aria-label": `Open a calendar for ${field.name}` }, "Calendar");
    button.addEventListener("click", () => {
      const begun = control.value.trim().replace(" ", "T");
      calendar.value = /^\d{4}-\d\d-\d\d$/.test(begun) ? `${begun}T00:00` : begun.slice(0, 19);
      calendar.showPicker();
    });
    const text = () => control.value.trim();
    const problem = () => (!text() || /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?$/.test(text())
      ? null : "Enter a date as 2026-01-31, or a time as 2026-01-31 12:00.");
    return {
      control, problem,
      element: el("div", { class: "with-button" }, control, calendar, button),
      get: () => text() || undefined,
      set: (value) => (control.value = value === undefined ? "" : value),
    };
  },

  integer: (field) => numberControl(field, /^-?\d+$/, "Enter an integer."),
  number: (field) => numberControl(field, /^-?\d+(\.\d+)?$/, "Enter a number."),

  object(field) {
    const control = el("textarea", { rows: "4", spellcheck: "false", class: "code", placeholder: "{ }" });
    const parse = () => JSON.parse(control.value);
    const problem = () => {
      if (!control.value.trim()) return null;
      try {
        const value = parse();
        return value && typeof value === "object" && !Array.isArray(value) ? null : "Enter a JSON object.";
      } catch (error) {
        return `This is not JSON: ${error.message}`;
      }
    };
    return {
      control, problem,
      get: () => (control.value.trim() && !problem() ? parse() : undefined),
      set: (value) => (control.value = value === undefined ? "" : asText(value)),
    };
  },

  array(field) {
    const control = el("textarea", { rows: "3", spellcheck: "false", placeholder: "One per line" });
    const lines = () => control.value.split("\n").map((line) => line.trim()).filter(Boolean);
    return {
      control,
      get: () => (lines().length ? lines() : undefined),
      set: (value) => (control.value = value === undefined ? "" : [].concat(value).join("\n")),
    };
  },

  any: anyControl,
  import: (field, id) => fileControl(field, id, true),
  file: (field, id) => fileControl(field, id, false),
};

function asText(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function textControl(field) {
  const control = LONG.has(field.name) && !field.secret
    ? el("textarea", { rows: "2" })
    : el("input", { type: field.name === "password" ? "password" : "text", autocomplete: "off", spellcheck: "false" });
  if (field.name === "password") control.setAttribute("autocomplete", "new-password");
  return {
    control,
    get: () => control.value || undefined,
    set: (value) => (control.value = value === undefined ? "" : value),
  };
}

function numberControl(field, pattern, complaint) {
  const control = el("input", { type: "text", inputmode: "numeric", autocomplete: "off" });
  const text = () => control.value.trim();
  return {
    control,
    problem: () => (!text() || pattern.test(text()) ? null : complaint),
    get: () => (text() ? Number(text()) : undefined),
    set: (value) => (control.value = value === undefined ? "" : value),
  };
}

/** A text, or any JSON value if the box is checked. */
function anyControl(field, id) {
  const control = el("textarea", { rows: "3", spellcheck: "false", class: "code" });
  const json = el("input", { type: "checkbox", id: `${id}-json` });
  const problem = () => {
    if (!json.checked || !control.value.trim()) return null;
    try {
      JSON.parse(control.value);
      return null;
    } catch (error) {
      return `This is not JSON: ${error.message}`;
    }
  };
  json.addEventListener("change", () => control.dispatchEvent(new Event("input", { bubbles: true })));
  return {
    control, problem,
    element: el("div", {}, control, el("div", { class: "inline" }, json, el("label", { for: json.id }, "Send as JSON"))),
    get: () => (control.value === "" || problem() ? undefined : json.checked ? JSON.parse(control.value) : control.value),
    set(value) {
      json.checked = value !== undefined && typeof value !== "string";
      control.value = value === undefined ? "" : asText(value);
    },
  };
}

/** A file, selected or dropped; or its text. */
function fileControl(field, id, isJson) {
  const chooser = el("input", { type: "file", class: "hidden", tabindex: "-1", "aria-hidden": "true" });
  const text = el("textarea", { rows: "6", spellcheck: "false", class: "code", placeholder: isJson ? "{ }" : "" });
  const name = el("span", { class: "file-name" }, "Drop a file here, or enter its text below.");
  const choose = el("button", { type: "button", class: "small", onclick: () => chooser.click() }, "Choose a file");
  const remove = el("button", { type: "button", class: "small", hidden: true }, "Remove");
  const zone = el("div", { class: "drop" }, choose, name, remove, chooser);
  let file = null;

  function take(taken) {
    file = taken;
    name.textContent = file ? `${file.name} (${file.size.toLocaleString("en")} bytes)` : "Drop a file here, or enter its text below.";
    remove.hidden = !file;
    text.disabled = Boolean(file);
    text.dispatchEvent(new Event("input", { bubbles: true }));
  }

  chooser.addEventListener("change", () => { if (chooser.files.length) take(chooser.files[0]); });
  remove.addEventListener("click", () => { chooser.value = ""; take(null); choose.focus(); });
  for (const kind of ["dragenter", "dragover"]) {
    zone.addEventListener(kind, (event) => { event.preventDefault(); zone.classList.add("over"); });
  }
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
  const problem = () => {
    if (file || !isJson || !text.value.trim()) return null;
    try {
      JSON.parse(text.value);
      return null;
    } catch (error) {
      return `This is not JSON: ${error.message}`;
    }
  };
  return {
    control: text, problem,
    element: el("div", { class: "file" }, zone, text),
    get: () => file || (!text.value || problem() ? undefined : isJson ? JSON.parse(text.value) : text.value),
    set(value) {
      if (value instanceof File) return take(value);
      chooser.value = "";
      take(null);
      text.value = value === undefined ? "" : asText(value);
      return undefined;
    },
  };
}
