// Values this browser stores. Storage can be forbidden, full or cleared at any time, so every
// value is also in memory for the life of the page.

const values = new Map();
const keyOf = (name) => `luckydraw.${name}`;

/** The value stored under a name, or null. */
export function get(name) {
  if (values.has(name)) return values.get(name);
  try {
    return JSON.parse(localStorage.getItem(keyOf(name)));
  } catch {
    return null;
  }
}

/** Stores a value; returns true if it will outlive the page. */
export function set(name, value) {
  values.set(name, value);
  try {
    localStorage.setItem(keyOf(name), JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** Removes a value. */
export function remove(name) {
  values.delete(name);
  try {
    localStorage.removeItem(keyOf(name));
  } catch {
    // Without storage nothing was stored.
  }
}
