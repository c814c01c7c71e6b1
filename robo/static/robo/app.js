/* What every page does in the browser, without a line of script in the pages themselves:

   data-theme-toggle               button: system, light, dark in turn
   data-confirm="question"         form, submit button, link or htmx element: asks first;
                                   also data-confirm-title, data-confirm-label
   data-keep-enabled               form whose buttons stay enabled while it is sent (downloads)
   data-selectable                 region with one `data-select-all` box, `data-select-item` boxes,
                                   `data-select-count` texts and `data-needs-selection` buttons
   output data-sum-of="selector"   shows the exact sum of those inputs of its form; with
                                   data-sum-target="100" marks it is-met or is-off; data-sum-unit
   data-fill-form="id"             button: puts its data-set-NAME values into that form, sends it
   data-announce="words"           in an htmx answer: is read out by screen readers

   A view can raise a toast with the htmx trigger {"toast": {"text": …, "level": "success"}}. */
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  // Not form.method: a field that is called "method" would stand in its place.
  const methodOf = (form) => (form.getAttribute("method") || "get").toLowerCase();

  // --- Theme ---------------------------------------------------------------------------------
  const themeIcons = { system: "monitor", light: "sun", dark: "moon" };

  const showThemeChoice = () => {
    const choice = window.evenkeelTheme.current();
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      const use = button.querySelector("use");
      use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#${themeIcons[choice]}`));
      button.setAttribute("aria-label", `Colour theme: ${choice}. Change`);
      button.title = `Colour theme: ${choice}`;
    }
  };

  // --- Speaking: toasts and the live region --------------------------------------------------
  const announce = (text) => {
    const region = byId("live-region");
    region.textContent = "";
    // A change in a later frame is what makes a screen reader speak the same words twice.
    window.requestAnimationFrame(() => (region.textContent = text));
  };

  const toast = (text, level = "info") => {
    const element = byId("toast-template").content.firstElementChild.cloneNode(true);
    element.querySelector("[data-toast-text]").textContent = text;
    element.classList.add(`is-${level}`);
    element.setAttribute("role", level === "error" ? "alert" : "status");
    byId("toasts").append(element);
    element.addEventListener("hidden.bs.toast", () => element.remove());
    new window.bootstrap.Toast(element, { autohide: level !== "error", delay: 6000 }).show();
  };

  // --- Asking first --------------------------------------------------------------------------
  const ask = (source) =>
    new Promise((resolve) => {
      const dialog = byId("confirm-dialog");
      byId("confirm-title").textContent = source.dataset.confirmTitle || "Please confirm";
      byId("confirm-text").textContent = source.dataset.confirm;
      byId("confirm-accept").textContent = source.dataset.confirmLabel || "Continue";
      dialog.returnValue = "cancel";
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "confirm"), {
        once: true,
      });
      dialog.showModal();
    });

  const confirmed = new WeakSet();

  document.addEventListener(
    "submit",
    async (event) => {
      const form = event.target;
      const submitter = event.submitter;
      const source = [submitter, form].find((element) => element?.dataset?.confirm);
      if (!source || methodOf(form) === "dialog") return;
      if (confirmed.delete(form)) return;
      // Captured before htmx sees it, so that plain and htmx forms ask in the same way.
      event.preventDefault();
      event.stopImmediatePropagation();
      if (!(await ask(source))) return;
      confirmed.add(form);
      form.requestSubmit(submitter);
    },
    true,
  );

  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-confirm]");
    if (!link || event.defaultPrevented) return;
    event.preventDefault();
    if (await ask(link)) window.location.assign(link.href);
  });

  document.addEventListener("htmx:confirm", async (event) => {
    const source = event.detail.elt;
    if (!source.dataset.confirm || source.tagName === "FORM") return;
    event.preventDefault();
    if (await ask(source)) event.detail.issueRequest(true);
  });

  // --- One click, one request ----------------------------------------------------------------
  const submitButtons = (form) =>
    [...form.elements].filter((element) =>
      element.matches("button:not([type=button]), [type=submit]"),
    );

  const setSending = (form, isSending) => {
    form.toggleAttribute("data-sending", isSending);
    form.setAttribute("aria-busy", String(isSending));
    for (const button of submitButtons(form)) {
      if (isSending && !button.disabled) button.dataset.lockedBySending = "";
      if ("lockedBySending" in button.dataset) button.disabled = isSending;
      if (!isSending) delete button.dataset.lockedBySending;
    }
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (methodOf(form) !== "post" || "keepEnabled" in form.dataset) return;
    if (form.hasAttribute("data-sending")) {
      event.preventDefault();
      return;
    }
    if (event.defaultPrevented) return; // htmx has taken over; see htmx:beforeRequest
    // After this task, or the button's own name and value would be missing from the request.
    window.setTimeout(() => setSending(form, true));
  });

  document.addEventListener("htmx:beforeRequest", ({ target }) => {
    if (target.tagName === "FORM") setSending(target, true);
  });
  document.addEventListener("htmx:afterRequest", ({ target }) => {
    if (target.tagName === "FORM") setSending(target, false);
  });

  // A page brought back by the browser's own history must not come back locked.
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const form of document.querySelectorAll("form[data-sending]")) setSending(form, false);
  });

  // --- When an htmx request fails ------------------------------------------------------------
  const failures = {
    400: "That request could not be read. Reload the page and try again.",
    403: "This is not open to you, or the page is too old. Reload it and try again.",
    404: "That no longer exists. Reload the page to see what changed.",
    409: "Something changed in the meantime. Reload the page to see the current state.",
    429: "Too many requests. Wait a moment and try again.",
  };

  document.addEventListener("htmx:responseError", ({ detail }) => {
    const fallback = "Something went wrong on our side. Reload the page to see the current state.";
    toast(failures[detail.xhr.status] || fallback, "error");
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, () =>
      toast("The server did not answer. Check your connection and reload the page.", "error"),
    );
  }

  // A session that has ended redirects to the sign-in page: show it as a page, not inside a card.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const signInUrl = document.body.dataset.signInUrl;
    const answeredBy = event.detail.xhr.responseURL;
    if (!signInUrl || !answeredBy || new URL(answeredBy).pathname !== signInUrl) return;
    if (window.location.pathname === signInUrl) return;
    event.detail.shouldSwap = false;
    const back = encodeURIComponent(window.location.pathname + window.location.search);
    window.location.assign(`${signInUrl}?next=${back}`);
  });

  document.addEventListener("toast", ({ detail }) => toast(detail.text, detail.level));

  // --- Choosing rows -------------------------------------------------------------------------
  const showSelection = (region) => {
    const items = [...region.querySelectorAll("[data-select-item]:not(:disabled)")];
    const count = items.filter((item) => item.checked).length;
    for (const all of region.querySelectorAll("[data-select-all]")) {
      all.checked = count > 0 && count === items.length;
      all.indeterminate = count > 0 && count < items.length;
    }
    for (const text of region.querySelectorAll("[data-select-count]"))
      text.textContent = String(count);
    for (const button of region.querySelectorAll("[data-needs-selection]")) {
      if (!("lockedBySending" in button.dataset)) button.disabled = count === 0;
    }
  };

  document.addEventListener("change", ({ target }) => {
    const region = target.closest?.("[data-selectable]");
    if (!region || !target.matches("[data-select-all], [data-select-item]")) return;
    if (target.matches("[data-select-all]")) {
      for (const item of region.querySelectorAll("[data-select-item]:not(:disabled)")) {
        item.checked = target.checked;
      }
    }
    showSelection(region);
  });

  // --- Live sums, exact: digits as whole numbers, never as floats ----------------------------
  const parseDecimal = (text) => {
    const match = /^([+-]?)(\d*)(?:\.(\d*))?$/.exec(text.trim());
    if (!match || !(match[2] || match[3])) return null;
    const decimals = match[3] || "";
    const digits = BigInt((match[2] || "0") + decimals);
    return { digits: match[1] === "-" ? -digits : digits, places: decimals.length };
  };

  const add = (left, right) => {
    const places = Math.max(left.places, right.places);
    const scaled = ({ digits, places: own }) => digits * 10n ** BigInt(places - own);
    return { digits: scaled(left) + scaled(right), places };
  };

  const formatDecimal = ({ digits, places }) => {
    const text = (digits < 0n ? -digits : digits).toString().padStart(places + 1, "0");
    const whole = text.slice(0, text.length - places);
    const decimals = text.slice(text.length - places).replace(/0+$/, "");
    return (digits < 0n ? "−" : "") + whole + (decimals ? `.${decimals}` : "");
  };

  const showSum = (output) => {
    const { sumOf, sumTarget, sumUnit = "" } = output.dataset;
    const inputs = [...(output.closest("form") || document).querySelectorAll(sumOf)];
    const parsed = inputs.map((input) => (input.value.trim() ? parseDecimal(input.value) : null));
    const isReadable = inputs.every((input, index) => !input.value.trim() || parsed[index]);
    const total = parsed.filter(Boolean).reduce(add, { digits: 0n, places: 0 });
    let text = formatDecimal(total) + sumUnit;
    if (sumTarget) {
      const target = parseDecimal(sumTarget);
      const missing = add(target, { digits: -total.digits, places: total.places });
      const isMet = isReadable && missing.digits === 0n;
      output.classList.toggle("is-met", isMet);
      output.classList.toggle("is-off", !isMet);
      if (missing.digits > 0n) text += ` (${formatDecimal(missing)}${sumUnit} missing)`;
      if (missing.digits < 0n) {
        text += ` (${formatDecimal({ ...missing, digits: -missing.digits })}${sumUnit} too much)`;
      }
    }
    output.textContent = isReadable ? text : "A value is not a number";
  };

  document.addEventListener("input", ({ target }) => {
    for (const output of document.querySelectorAll("output[data-sum-of]")) {
      if (target.matches?.(output.dataset.sumOf)) showSum(output);
    }
  });

  // --- The demo's sign-in buttons ------------------------------------------------------------
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-fill-form]");
    if (!button) return;
    const form = byId(button.dataset.fillForm);
    for (const attribute of button.attributes) {
      if (!attribute.name.startsWith("data-set-")) continue;
      form.elements.namedItem(attribute.name.slice("data-set-".length)).value = attribute.value;
    }
    form.requestSubmit();
  });

  // --- Whatever is on the page now, and whatever htmx brings later ---------------------------
  const prepare = (root) => {
    const each = (selector, act) => {
      if (root.matches?.(selector)) act(root);
      root.querySelectorAll(selector).forEach(act);
    };
    each("[data-selectable]", showSelection);
    each("output[data-sum-of]", showSum);
    each("[data-announce]", (element) => announce(element.dataset.announce));
  };

  prepare(document);
  showThemeChoice();
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-toggle]")) return;
    announce(`Colour theme: ${window.evenkeelTheme.next()}`);
    showThemeChoice();
  });
  document.addEventListener("htmx:afterSettle", ({ target }) => {
    prepare(target);
    const region = target.closest?.("[data-selectable]");
    if (region) showSelection(region);
  });
})();
