// As whom this page speaks: a display by the link it was opened with, a display by the host's login in this browser, or a viewer.
//
// The link's token is kept so that a reload stays a display, and is never in the address bar, which hangs on a wall. A viewer is told what a
// phone may know and completes no draw.

import { call } from "../shared/api.js";
import { forget, recall, remember } from "../shared/storage.js";

const LINK_REFUSED = 4401;

/** Keeps what proves this page's role at `event`. `secret`: the token of the link it was opened with, if any. */
export function roleAt(event, secret) {
  const name = `stage.${event}`;
  let isLoginRefused = false;
  if (secret) remember(name, secret);

  return {
    /** { role, token, isStage } to connect with now. */
    async find() {
      const token = recall(name);
      if (token) return { role: 'display', token, isStage: true };
      const login = isLoginRefused ? {} : await call('GET', '/admin/login').catch(() => ({}));
      return login.logged_in ? { role: 'display', token: null, isStage: true } : { role: 'phone', token: null, isStage: false };
    },
    /** Forgets a proof that the server did not take; says whether there is another way to try. */
    refused(code, found) {
      if (code !== LINK_REFUSED || !found.isStage) return false;
      if (found.token) forget(name);
      else isLoginRefused = true;
      return true;
    },
  };
}
