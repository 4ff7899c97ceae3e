// Reloads the page while its job runs, but not under someone who reviews rows.
const state = document.getElementById("state");
if (state?.dataset.refresh === "yes") {
  setTimeout(() => location.reload(), 3000);
}
