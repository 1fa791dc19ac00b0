// Keeps the fragment of the address, which no server sees, over Airflow's login page.

const KEY = "native-api-link";

export function keepLink() {
  try {
    if (location.hash) sessionStorage.setItem(KEY, JSON.stringify([location.pathname, location.hash]));
    else sessionStorage.removeItem(KEY);
  } catch {
    // A browser may deny pages their storage.
  }
}

export function restoreLink() {
  try {
    const [path, hash] = JSON.parse(sessionStorage.getItem(KEY)) || [];
    sessionStorage.removeItem(KEY);
    if (hash && path === location.pathname && !location.hash) window.history.replaceState(null, "", hash);
  } catch {}
}
