/* Set the colour theme before the first paint, so that no page flashes. Loaded in the head and
   not deferred; everything that can wait is in app.js. */
(() => {
  "use strict";
  const choices = ["system", "light", "dark"];
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  const stored = () => {
    try {
      const choice = window.localStorage.getItem("theme");
      return choices.includes(choice) ? choice : "system";
    } catch {
      return "system"; // storage may be refused; the page then follows the system
    }
  };

  const apply = (choice) => {
    const theme = choice === "system" ? (dark.matches ? "dark" : "light") : choice;
    document.documentElement.dataset.bsTheme = theme;
    document.documentElement.dataset.themeChoice = choice;
    document.dispatchEvent(new CustomEvent("evenkeel:theme", { detail: { theme, choice } }));
  };

  let current = stored();
  apply(current);
  dark.addEventListener("change", () => apply(current));
  // Paper is white: whoever reads in the dark still prints dark on light, charts included.
  window.addEventListener("beforeprint", () => apply("light"));
  window.addEventListener("afterprint", () => apply(current));

  window.evenkeelTheme = {
    current: () => current,
    /** Move to the next choice, remember it, and return it. */
    next: () => {
      current = choices[(choices.indexOf(current) + 1) % choices.length];
      try {
        window.localStorage.setItem("theme", current);
      } catch {
        // Not remembered, but still applied to this page.
      }
      apply(current);
      return current;
    },
  };
})();
