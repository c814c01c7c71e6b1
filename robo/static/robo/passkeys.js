/* Passkey pages: hide what this browser cannot do, and say in words what went wrong.
   data-passkey          an element that needs passkeys; hidden where there are none
   data-passkey-error    where a failure is told */
(() => {
  const canUse = Boolean(window.PublicKeyCredential && navigator.credentials);
  document.querySelectorAll("[data-passkey]").forEach((element) => {
    element.hidden = !canUse;
  });
  document.addEventListener("allauth.error", (event) => {
    // The library would only write to the console, which nobody reads.
    event.preventDefault();
    const place = document.querySelector("[data-passkey-error]");
    if (!place) return;
    const reason = event.detail && event.detail.exception ? event.detail.exception.name : "";
    place.textContent =
      reason === "NotAllowedError"
        ? "The passkey was not used: it was cancelled, or took too long. Please try again."
        : reason === "InvalidStateError"
          ? "This device holds a passkey for you already."
          : "The passkey could not be used here. Try another way.";
    place.hidden = false;
  });
})();
