// Files that the server makes, saved by the browser.

import { make } from "../shared/dom.js";

const URL_KEPT_MS = 10_000;

/** Saves a blob as a file of that name. */
export function saveFile(blob, name) {
  const href = URL.createObjectURL(blob);
  make('a', { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), URL_KEPT_MS);
}
