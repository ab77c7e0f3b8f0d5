// What this browser keeps. Storage can be forbidden, full or cleared at any moment, so that everything also lives in the page itself.

const kept = new Map();

/** What is kept under that name, or null. */
export function recall(name) {
  if (kept.has(name)) return kept.get(name);
  try {
    return JSON.parse(localStorage.getItem(`luckydraw.${name}`));
  } catch {
    return null;
  }
}

/** Keeps a value; says whether it will outlive the page. */
export function remember(name, value) {
  kept.set(name, value);
  try {
    localStorage.setItem(`luckydraw.${name}`, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** Forgets it. */
export function forget(name) {
  kept.delete(name);
  try {
    localStorage.removeItem(`luckydraw.${name}`);
  } catch {
    // Nothing was kept then.
  }
}
