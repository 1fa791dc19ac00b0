// Elements, without HTML in text: data of Airflow is always text.

let counter = 0;

export function uid(prefix) {
  counter += 1;
  return `${prefix}-${counter}`;
}

/** Return an element; attributes that begin with "on" are listeners, and those that are false or null are omitted. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...present(children));
  return element;
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Replace the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
}

export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** Copy a text; without HTTPS, where pages cannot use the clipboard, with a selection. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = el("textarea", { class: "hidden", value: text, "aria-hidden": "true" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** Return a button that copies what *text* returns. */
export function copyButton(label, text) {
  const button = el("button", { type: "button", class: "small" }, label);
  button.addEventListener("click", async () => {
    const done = await copy(text());
    button.focus();
    button.textContent = done ? "Copied" : "Not copied";
    announce(done ? "Copied" : "The browser does not allow copying");
    setTimeout(() => (button.textContent = label), 1500);
  });
  return button;
}

/** Ask in a dialog, since a sandboxed frame has no confirm(); return the value of the button. */
export function ask(title, content, buttons) {
  return new Promise((resolve) => {
    const heading = uid("dialog");
    const dialog = el("dialog", { "aria-labelledby": heading });
    const row = buttons.map(({ label, value, kind }) =>
      el("button", { type: "button", class: kind || "", onclick: () => dialog.close(value) }, label));
    fill(dialog, el("h2", { id: heading }, title), content, el("div", { class: "buttons" }, row));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Return tabs; the content of a panel is made when it is first shown. */
export function tabs(label, entries) {
  const list = el("div", { role: "tablist", "aria-label": label, class: "tabs" });
  const panels = el("div", {});
  const items = entries.map(({ name, content, shown }) => {
    const [tab, panel] = [uid("tab"), uid("panel")];
    const button = el("button", { type: "button", role: "tab", id: tab, "aria-controls": panel }, name);
    const body = el("div", { role: "tabpanel", id: panel, "aria-labelledby": tab, tabindex: "0" }, content);
    list.append(button);
    panels.append(body);
    return { button, body, shown };
  });
  const select = (chosen, focus) => {
    for (const item of items) {
      const on = item === chosen;
      item.button.setAttribute("aria-selected", String(on));
      item.button.tabIndex = on ? 0 : -1;
      item.body.hidden = !on;
    }
    if (focus) chosen.button.focus();
    if (chosen.shown) chosen.shown();
  };
  items.forEach((item, index) => {
    item.button.addEventListener("click", () => select(item, false));
    item.button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) select(items[(index + step + items.length) % items.length], true);
    });
  });
  if (items.length) select(items[0], false);
  return el("div", { class: "tabbed" }, list, panels);
}
