// Rows of a list that are made anew only when they show something else: a row that is replaced under
// the pointer loses its click, and one that has the focus loses it.

import { language } from "../shared/i18n.js";

const shown = new WeakMap();

/**
 * Fills an element with what `build()` gives, if `key`, all that it shows, is another than before. The
 * focus stays on the element of the same data-focus.
 */
export function fillIfChanged(element, key, build) {
  const text = JSON.stringify([language(), key]);
  if (shown.get(element) === text) return;
  shown.set(element, text);
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  element.replaceChildren(...build());
  if (focused) element.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}
