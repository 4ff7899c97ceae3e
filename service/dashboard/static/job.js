// Reloads the page while its job runs; the server renders everything.
const state = document.getElementById("state");
if (state?.dataset.terminal === "no") {
  setTimeout(() => location.reload(), 3000);
}
