// Shows that states arrive.
new EventSource("events").addEventListener("state", (event) => {
  const state = JSON.parse(event.data);
  document.getElementById("rate").textContent = `${state.requests.total} requests`;
});
