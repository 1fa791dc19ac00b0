// Work that continues after its response: a progress bar, counts by state, and a button that cancels it.

import { request } from "./api.js";
import { announce, el, fill, uid } from "./dom.js";
import { log, state } from "./results.js";

const FIRST_MS = 700;
const SLOWEST_MS = 5000;
const LIVE = new Set(["running", "queued", "pending", "starting"]);

export const isLive = (result) => Boolean(result) && LIVE.has(result.state);

/**
 * Follow the work whose state *url* returns, and return the section that shows it.
 *
 * *cancel* cancels the work, if the user can; *done* is called with the last state.
 */
export function follow(url, { title, cancel, done, isShown }) {
  const label = uid("progress");
  const bar = el("progress", { max: "1", "aria-labelledby": label });
  const words = el("span", { class: "muted" });
  const counts = el("div", { class: "counts" });
  const output = el("div", {});
  const button = el("button", { type: "button", class: "danger small" }, "Cancel");
  const section = el("section", { class: "progress" },
    el("div", { class: "table-head" }, el("h3", { id: label }, title), words, el("span", { class: "grow" }), cancel ? button : null),
    bar, counts, output);
  let pause = FIRST_MS;
  let last = "";

  button.addEventListener("click", async () => {
    button.disabled = true;
    const cancelled = await cancel();
    if (!cancelled) button.disabled = false;
    pause = FIRST_MS;
  });

  function show(result) {
    if (result.fraction_done !== undefined && result.fraction_done !== null) bar.value = result.fraction_done;
    const percent = result.fraction_done === undefined ? "" : `, ${Math.round(100 * (result.fraction_done || 0))} % done`;
    fill(words, state(result.state), percent);
    fill(counts, ...["runs", "tasks"].filter((name) => result[name] && typeof result[name] === "object").map((name) =>
      el("p", {}, el("strong", {}, name === "runs" ? "Runs: " : "Tasks: "),
        Object.entries(result[name]).flatMap(([key, count]) => [state(`${key}`), ` ${count} `]))));
    if (typeof result.log === "string" && result.log !== last) {
      last = result.log;
      fill(output, log("log", result.log));
    }
  }

  async function poll() {
    // The user has left the page.
    if (!isShown()) return;
    let response;
    try {
      response = await request("GET", url);
    } catch (error) {
      words.textContent = error.message;
      return;
    }
    if (!response.ok) {
      words.textContent = response.json ? response.json.detail : `${response.status} ${response.reason}`;
      return;
    }
    show(response.json);
    if (isLive(response.json)) {
      pause = Math.min(pause * 1.3, SLOWEST_MS);
      setTimeout(poll, pause);
      return;
    }
    bar.value = response.json.state === "success" ? 1 : response.json.fraction_done || 1;
    button.remove();
    announce(`${title}: ${response.json.state}`);
    done(response);
  }

  setTimeout(poll, FIRST_MS / 2);
  return section;
}
