// What every page does in the browser: dialogs, toasts, buttons that say that they work, live parts. Pages work without it.
import { follow } from "./feed.js";

const root = document.documentElement;

// --- dialogs: <button data-dialog="ID"> opens, [data-close] closes, and the focus goes back where it came from ---

let opener = null;

document.addEventListener("click", (event) => {
  const open = event.target.closest("[data-dialog]");
  if (open) {
    const dialog = document.getElementById(open.dataset.dialog);
    if (dialog) {
      opener = open;
      dialog.showModal();
    }
    return;
  }
  const close = event.target.closest("[data-close]");
  if (close) close.closest("dialog").close();
  const drop = event.target.closest("[data-drop]");
  if (drop) drop.closest("[data-toast]").remove();
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent.trim());
    copy.setAttribute("data-copied", "");
  }
});

document.addEventListener(
  "close",
  (event) => {
    if (event.target.matches("dialog") && opener) opener.focus();
  },
  true,
);

// One that came open has something wrong in it.
document.querySelectorAll("dialog[open]").forEach((dialog) => {
  dialog.close();
  dialog.showModal();
});

// --- toasts go after eight seconds, but not while somebody reads them with pointer or focus ---

function fade(toast) {
  let timer;
  const start = () => (timer = setTimeout(() => toast.remove(), 8000));
  const stop = () => clearTimeout(timer);
  toast.addEventListener("pointerenter", stop);
  toast.addEventListener("pointerleave", start);
  toast.addEventListener("focusin", stop);
  toast.addEventListener("focusout", start);
  start();
}

document.querySelectorAll("[data-toast]").forEach(fade);

// --- a form that was sent says so, and is not sent twice ---

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.hasAttribute("data-sent")) {
    event.preventDefault();
    return;
  }
  form.setAttribute("data-sent", "");
  const button = event.submitter;
  if (button) setTimeout(() => button.setAttribute("aria-busy", "true"), 300);
});

// A page that the browser kept for “back” may be sent again.
addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => form.removeAttribute("data-sent"));
  document.querySelectorAll("[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
});

// --- a code that may be shown elsewhere: the page asks now and then, and goes on by itself ---

const elsewhere = document.querySelector("[data-elsewhere]");

async function ask() {
  try {
    const { state } = await (await fetch("/login/code/state")).json();
    if (state === "done") return elsewhere.requestSubmit();
    const typed = document.querySelector("[name=code]")?.value;
    if (state !== elsewhere.dataset.elsewhere && !typed) return location.reload();
  } catch {
    // Nothing is lost: the form can be sent by hand, and the next question may be answered.
  }
  setTimeout(ask, 1500);
}

if (elsewhere) setTimeout(ask, 1000);

// --- filters are sent when a choice changes ---

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-send]")) event.target.form.requestSubmit();
});

// --- one box that ticks all others of its form ---

document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-all]")) return;
  for (const box of event.target.form.querySelectorAll(".tick")) box.checked = event.target.checked;
});

// --- the first wrong field has the focus ---

const wrong = document.querySelector("[aria-invalid=true]");
if (wrong) wrong.focus();

// --- live parts: <main data-live="TOPIC,…" data-after="N"> with parts <… data-part="ID"> ---
// After an event, or when other rights make another menu, the page is asked for again, and its parts that differ take
// the place of what is shown; a part under the pointer or the focus waits until it is left, unless there is nothing in
// it to press: [data-bare].

const menu = document.querySelector("[data-rights]");
if (menu) keepLive(document.querySelector("[data-live]"));

function keepLive(place) {
  const sign = document.querySelector("[data-live-sign]");
  let asking = false;
  let again = false;
  let whole = false;
  // Parts that wait until they are left: a pointer may rest on one for days.
  const used = new WeakSet();

  async function refresh() {
    if (asking) {
      again = true;
      return;
    }
    asking = true;
    // Only what is shown, not what stands around it, unless the menu has changed.
    const headers = whole ? { Accept: "text/html" } : { Accept: "text/html", "X-Refresh": "parts" };
    whole = false;
    try {
      const answer = await fetch(location.href, { headers });
      if (answer.redirected || answer.status === 403) {
        location.reload();
        return;
      }
      if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // The stream notices a lost connection itself, and comes back with all that was missed.
    }
    asking = false;
    if (again) {
      again = false;
      setTimeout(refresh, 500);
    }
  }

  function take(fresh) {
    for (const part of document.querySelectorAll("[data-part]")) {
      const next = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
      if (next && next.innerHTML !== part.innerHTML) replace(part, next);
      if (next?.dataset.rights) part.dataset.rights = next.dataset.rights;
    }
  }

  function replace(part, next) {
    const touched = !part.hasAttribute("data-bare") && (part.matches(":hover") || part.contains(document.activeElement));
    if (touched || part.querySelector("dialog[open], .tick:checked")) {
      if (used.has(part)) return;
      used.add(part);
      const later = () => {
        used.delete(part);
        part.removeEventListener("pointerleave", later);
        part.removeEventListener("focusout", later);
        setTimeout(refresh, 50);
      };
      part.addEventListener("pointerleave", later);
      part.addEventListener("focusout", later);
      return;
    }
    part.replaceChildren(...next.cloneNode(true).childNodes);
  }

  const hear = {
    event: refresh,
    reset: refresh,
    rights: () => {
      whole = true;
      refresh();
    },
    // A form that ends the session itself, such as signing out, leads on by itself.
    end: () => document.querySelector("form[data-sent]") || location.reload(),
    state: (up) => {
      if (sign) sign.toggleAttribute("data-lost", !up);
      root.toggleAttribute("data-live-lost", !up);
    },
  };
  follow(place?.dataset.live ?? "", Number(place?.dataset.after ?? -1), hear, { rights: menu.dataset.rights });
}
