// Follows feeds of the gateway: in order, without a gap, over lost connections; a hidden page lets its stream go, as
// browsers allow six at a time, and goes on where it was when it is seen again.

/**
 * @param {string} topics names of feeds, with commas between them
 * @param {number} after number of the last event that the page knows
 * @param {{event: (topic: string, data: object, id: number) => void, reset?: () => void, end?: (why: string) => void,
 *   rights?: () => void, state?: (up: boolean) => void}} hear
 * @param {{hidden?: "keep", rights?: string}} options `hidden: "keep"` keeps the stream of a hidden page; `rights` is the
 *   mark of the menu that the page shows
 */
export function follow(topics, after, hear, options = {}) {
  let source = null;
  let over = false;
  let timer;

  function open() {
    if (source || over) return;
    const ask = new URLSearchParams({ topics, rights: options.rights ?? "" });
    if (after >= 0) ask.set("after", after);
    source = new EventSource(`/feed?${ask}`);
    source.onopen = () => hear.state?.(true);
    source.onerror = () => {
      hear.state?.(false);
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        refused();
      }
    };
    source.addEventListener("reset", (event) => {
      after = Number(event.lastEventId);
      hear.reset?.();
    });
    source.addEventListener("end", (event) => {
      over = true;
      close();
      hear.end?.(JSON.parse(event.data).why);
    });
    source.addEventListener("rights", () => hear.rights?.());
    for (const topic of topics.split(",").filter(Boolean)) {
      source.addEventListener(topic, (event) => {
        after = Number(event.lastEventId);
        hear.event(topic, JSON.parse(event.data), after);
      });
    }
  }

  // Refused, not lost: the browser does not try again by itself. Either nobody is signed in any more, or it passes.
  async function refused() {
    try {
      if ((await fetch("/me", { method: "HEAD" })).redirected) {
        over = true;
        hear.end?.("signed_out");
        return;
      }
    } catch {
      // The gateway is away for the moment.
    }
    timer = setTimeout(open, 5000);
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  if (options.hidden !== "keep") {
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  }
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}
