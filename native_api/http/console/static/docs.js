// The API reference: RapiDoc shows the OpenAPI document, and "Try" sends calls as this page's user.

import { SessionEnded, credentials, login, offers, openapi } from "./api.js";
import { restoreLink } from "./link.js";

restoreLink();

const reference = document.getElementById("reference");

function dress() {
  const dark = document.documentElement.dataset.theme === "dark";
  reference.setAttribute("theme", dark ? "dark" : "light");
  reference.setAttribute("bg-color", dark ? "#1a1d21" : "#ffffff");
  reference.setAttribute("text-color", dark ? "#e6e8eb" : "#1f2937");
  reference.setAttribute("primary-color", dark ? "#6db3f5" : "#0b63b8");
}

reference.addEventListener("before-try", (event) => {
  for (const [name, value] of Object.entries(credentials(event.detail.request.method))) {
    event.detail.request.headers.set(name, value);
  }
});

/** Return the document for RapiDoc, which takes an example that contains a null for a named one. */
function forRapiDoc(spec) {
  // Calls from here have the user's session: there is nothing to enter.
  delete spec.security;
  delete spec.components.securitySchemes;
  const operations = Object.values(spec.paths).flatMap(Object.values);
  const bodies = operations.flatMap((one) => [one.requestBody, ...Object.values(one.responses)]);
  for (const body of [...bodies, ...Object.values(spec.components.responses)]) {
    for (const content of Object.values((body && body.content) || {})) {
      if (content.example === undefined) continue;
      content.examples = { Example: { value: content.example } };
      delete content.example;
    }
  }
  return spec;
}

async function begin() {
  dress();
  new MutationObserver(dress).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  await customElements.whenDefined("rapi-doc");
  try {
    await offers();
    reference.loadSpec(forRapiDoc(await openapi()));
  } catch (error) {
    if (error instanceof SessionEnded) login();
    else {
      const failure = document.getElementById("failure");
      failure.textContent = error.message;
      failure.hidden = false;
    }
  }
}

begin();
