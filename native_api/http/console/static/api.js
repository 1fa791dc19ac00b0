// Calls of the API, with the credential that Airflow's pages have.

import { keepLink } from "./link.js";

/** The URL of the plugin; this module is two folders below it. */
export const ROOT = new URL("../../", import.meta.url);

const session = document.querySelector('meta[name="native-api-session"]').content;
// The pages of Airflow 3.0 keep the token in their storage and delete the cookie.
let token = session === "storage" ? localStorage.getItem("token") : null;
let csrfToken = null;

export class SessionEnded extends Error {}

/** Return the headers of a call by the user of this page. */
export function credentials(method) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (method.toUpperCase() === "POST" && csrfToken) headers["X-CSRFToken"] = csrfToken;
  return headers;
}

async function send(method, url, body) {
  const headers = { Accept: "application/json", ...credentials(method) };
  if (body !== undefined && !(body instanceof FormData)) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(body);
  }
  return fetch(url, { method, headers, body, credentials: "same-origin", cache: "no-store" });
}

async function sendAsUser(method, url, body) {
  let response = await send(method, url, body);
  if (response.status === 401 && token) {
    // It has expired, but there can be a cookie of a later login.
    token = null;
    response = await send(method, url, body);
  }
  return response;
}

/** Return the response of a request, its time in milliseconds, and its JSON if it is JSON. */
export async function request(method, url, { query, body } = {}) {
  const target = new URL(url, ROOT);
  for (const [name, value] of query || []) target.searchParams.append(name, value);
  const begun = performance.now();
  let response = await sendAsUser(method, target, body);
  let text = await response.text();
  let json = parsed(text);
  if (response.status === 403 && json && json.code === "cross_site_request" && csrfToken) {
    await offers();
    response = await sendAsUser(method, target, body);
    text = await response.text();
    json = parsed(text);
  }
  if (response.status === 401) throw new SessionEnded(json ? json.detail : response.statusText);
  return {
    status: response.status,
    reason: reasonOf(response),
    ok: response.ok,
    milliseconds: Math.round(performance.now() - begun),
    text,
    json,
  };
}

/** Return the reason phrase, which servers spell differently and HTTP/2 omits. */
function reasonOf({ status, statusText }) {
  if (status === 200) return "OK";
  return statusText.toLowerCase().replace(/\b[a-z]/g, (letter) => letter.toUpperCase());
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function document_(name) {
  const response = await request("GET", name);
  if (!response.ok) throw new Error(response.json ? response.json.detail : `${response.status} ${response.reason}`);
  return response.json;
}

/** Return the user and the offered operations. */
export async function offers() {
  const found = await document_("console.json");
  csrfToken = found.csrf_token;
  return found;
}

export const openapi = () => document_("openapi.json");

/** Return the entries of a list, none if it cannot be read. */
export async function list(operation, key, query, signal) {
  const response = await request("GET", `v1/${operation}`, { query: Object.entries(query) });
  if (signal.aborted || !response.ok) return [];
  return response.json[key];
}

export async function commandLine(operation, args) {
  const response = await request("POST", "console/command", { body: { operation, arguments: args } });
  return response.ok ? response.json.command : null;
}

/** Open Airflow's login page, which returns here. */
export function login() {
  const target = new URL("../auth/login", ROOT);
  target.searchParams.set("next", location.pathname);
  if (session === "storage") {
    keepLink();
    location.assign(target);
  } else location.reload();
}
