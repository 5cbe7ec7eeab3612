// Sends files by STOW-RS, one in each request and a few at a time, and shows what became of each.
"use strict";

(() => {
  const upload = document.getElementById("upload");
  if (!upload) return;
  const element = (id) => document.getElementById(id);
  const atOnce = 4;
  const mostShown = 1000;
  const reasons = {
    0x0110: "an error on our side; the overview shows the job",
    0xa700: "not possible right now",
    0xa900: "of another study",
    0xc000: "not a DICOM file, or not a complete one",
    0xc001: "held back; the overview says why",
  };
  const statuses = {
    401: "please log in again",
    403: "not permitted",
    413: "larger than this node takes",
    503: "not possible right now",
  };
  const heldBack = 0xc001; // it is here, in quarantine: nothing of it is lost
  const tones = { clean: "calm", waiting: "busy", held: "alert", failed: "alert" };
  const files = []; // {file, name, state, row}
  let running = 0;

  async function* within(entry) {
    if (entry.isFile) {
      yield { file: await new Promise((done, fail) => entry.file(done, fail)), name: entry.fullPath.replace(/^\//, "") };
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done, fail) => reader.readEntries(done, fail));
      if (some.length === 0) return;
      for (const one of some) yield* within(one);
    }
  }

  function rowFor(name) {
    if (files.length >= mostShown) {
      element("more").hidden = false;
      element("more").textContent = `Only the first ${mostShown} are listed.`;
      return null;
    }
    const row = document.createElement("li");
    const label = document.createElement("span");
    label.className = "job";
    label.textContent = name;
    const told = document.createElement("span");
    told.className = "quiet";
    row.append(label, told);
    element("list").append(row);
    return told;
  }

  function tell(one, state, text, study) {
    one.state = state;
    if (one.row) {
      const tag = document.createElement(study ? "a" : "span");
      if (study) tag.href = upload.dataset.study + encodeURIComponent(study);
      tag.className = `tag ${tones[state] || "plain"}`;
      tag.textContent = text;
      one.row.replaceChildren(tag);
    }
    summarise();
  }

  function summarise() {
    const counts = {};
    for (const one of files) counts[one.state] = (counts[one.state] || 0) + 1;
    const words = { queued: "to send", sending: "being sent", clean: "clean", waiting: "being de-identified", held: "held back", failed: "not stored" };
    const said = Object.entries(words).filter(([state]) => counts[state]).map(([state, word]) => `${counts[state]} ${word}`);
    element("summary").textContent = said.join(" · ");
    element("again").hidden = running > 0 || !(counts.waiting || counts.held || counts.failed);
  }

  function understand(one, status, answer) {
    const first = (tag) => answer?.[tag]?.Value?.[0];
    const stored = first("00081199");
    const study = stored?.["0020000D"]?.Value?.[0];
    const failure = first("00081198") || first("0008119A");
    if (study) return tell(one, "clean", "clean", study);
    if (stored) return tell(one, "waiting", "being de-identified");
    const code = failure && failure["00081197"].Value[0];
    const reason = reasons[code];
    return tell(one, code === heldBack ? "held" : "failed", reason || statuses[status] || "could not be read");
  }

  async function send(one) {
    tell(one, "sending", "sending");
    try {
      const headers = { "Content-Type": "application/dicom", Accept: "application/dicom+json" };
      const response = await fetch(upload.dataset.store, { method: "POST", headers, body: one.file });
      const text = await response.text();
      understand(one, response.status, text.startsWith("{") ? JSON.parse(text) : null);
    } catch {
      tell(one, "failed", "the connection broke off");
    }
  }

  async function work() {
    running += 1;
    for (let one; (one = files.find((other) => other.state === "queued")); ) await send(one);
    running -= 1;
    summarise();
  }

  function start() {
    while (running < atOnce && files.filter((one) => one.state === "queued").length > running) work();
    summarise();
  }

  function add(file, name) {
    const one = { file, name, state: "queued", row: rowFor(name) };
    files.push(one);
    tell(one, "queued", "waiting to be sent");
  }

  for (const id of ["files", "folder"]) {
    element(id).addEventListener("change", (event) => {
      for (const file of event.target.files) add(file, file.webkitRelativePath || file.name);
      event.target.value = "";
      start();
    });
  }

  const drop = element("drop");
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    for (const entry of entries) {
      for await (const { file, name } of within(entry)) {
        add(file, name);
        start();
      }
    }
  });

  element("again").addEventListener("click", () => {
    for (const one of files) if (["waiting", "held", "failed"].includes(one.state)) tell(one, "queued", "waiting to be sent");
    start();
  });
})();
