// Loads what only winners need, at the moment they win, so that nobody else pays for it.

const RETRY_MS = 3_000;
let loading = null;

/** The winner's desk made of these parts, once. A network that fails in this very moment is tried again, after a word by `failed`. */
export function prizeDesk(parts, failed) {
  loading ??= load(failed).then((module) => module.prizeDesk(parts));
  return loading;
}

async function load(failed) {
  for (let tries = 0; ; tries += 1) {
    try {
      // A browser may remember that a module did not load: another address is another try.
      return tries === 0 ? await import("./winner.js") : await import(`./winner.js?again=${tries}`);
    } catch {
      failed();
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }
}
