// Keeps the overview up to date without a reload, and makes it a little more comfortable. Everything works without it.
"use strict";

(() => {
  const live = document.getElementById("live");
  const longest = 60;

  // Times: in the reader's zone, near ones as a distance.
  const near = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  const far = new Intl.DateTimeFormat("en-GB", {
    day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
  });

  function distance(date) {
    const seconds = (date - Date.now()) / 1000;
    const size = Math.abs(seconds);
    if (size < 45) return seconds > 1 ? `in ${Math.round(size)} s` : "just now";
    if (size < 3600) return near.format(Math.round(seconds / 60), "minute");
    if (size < 86400) return near.format(Math.round(seconds / 3600), "hour");
    return far.format(date);
  }

  function tellTimes() {
    for (const element of document.querySelectorAll("time[data-when]")) {
      const date = new Date(element.dateTime);
      const text = Number.isNaN(date.getTime()) ? element.textContent : distance(date);
      if (element.textContent !== text) element.textContent = text;
      if (element.title !== far.format(date)) element.title = far.format(date);
    }
  }

  // Pictures: one that cannot be shown leaves the quiet placeholder behind it.
  function watchPictures() {
    for (const image of document.querySelectorAll(".picture img:not([data-watched])")) {
      image.dataset.watched = "";
      const judge = () => {
        image.classList.toggle("missing", image.naturalWidth === 0);
        image.classList.toggle("shown", image.naturalWidth > 0);
      };
      image.addEventListener("load", judge);
      image.addEventListener("error", judge);
      if (image.complete) judge();
    }
  }

  function offerCopying() {
    if (!navigator.clipboard) return;
    for (const box of document.querySelectorAll(".command:not([data-watched])")) {
      box.dataset.watched = "";
      const button = document.createElement("button");
      button.type = "button";
      button.className = "quiet-button";
      button.textContent = "Copy";
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(box.querySelector("code").textContent);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
      box.append(button);
    }
  }

  // Bring `now` to what `next` says and leave alone what is equal, so that nothing flickers, focus stays where it is
  // and pictures are not fetched again. Children with a data-key are recognised by it wherever they have moved.
  const ours = new Set(["data-watched", "title", "open"]);

  function bringTo(now, next) {
    for (const { name } of [...now.attributes]) {
      const ownClass = name === "class" && now.hasAttribute("data-watched");
      if (!next.hasAttribute(name) && !ours.has(name) && !ownClass) now.removeAttribute(name);
    }
    for (const { name, value } of next.attributes) {
      if (now.getAttribute(name) !== value && !(name === "class" && now.hasAttribute("data-watched"))) now.setAttribute(name, value);
    }
    if (now.matches("time[data-when]")) return;
    const staying = new Set([...next.children].map((one) => one.dataset.key));
    for (const child of [...now.children]) {
      if (child.dataset.key && !staying.has(child.dataset.key)) child.remove();
    }
    const keyed = new Map([...now.children].filter((one) => one.dataset.key).map((one) => [one.dataset.key, one]));
    let place = now.firstChild;
    for (const child of [...next.childNodes]) {
      let match = child.dataset?.key ? keyed.get(child.dataset.key) : place;
      if (!child.dataset?.key && match?.dataset?.key) match = null;
      if (match && match.nodeName === child.nodeName) {
        if (match !== place) now.insertBefore(match, place);
        if (child.nodeType === Node.ELEMENT_NODE) {
          if (!match.matches(".command")) bringTo(match, child);
        } else if (match.data !== child.data) match.data = child.data;
        place = match.nextSibling;
      } else {
        now.insertBefore(document.importNode(child, true), place);
      }
    }
    while (place) {
      const after = place.nextSibling;
      place.remove();
      place = after;
    }
  }

  function dress() {
    watchPictures();
    offerCopying();
    tellTimes();
  }

  dress();
  if (!live) return;

  const usual = Number(live.dataset.live);
  const offline = document.getElementById("offline");
  const sentence = () => document.getElementById("sentence").textContent;
  let wait = usual;
  let timer = 0;

  async function refresh() {
    clearTimeout(timer);
    try {
      const answer = await fetch(location.pathname, { cache: "no-store", headers: { Accept: "*/*" } });
      if (answer.status === 401 || answer.status === 403) {
        location.reload();
        return;
      }
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const before = sentence();
      const focused = document.activeElement;
      bringTo(live, page.getElementById("live"));
      if (focused !== document.activeElement && live.contains(focused)) focused.focus({ preventScroll: true });
      document.title = page.title;
      dress();
      if (sentence() !== before) document.getElementById("spoken").textContent = sentence();
      offline.hidden = true;
      wait = usual;
    } catch {
      offline.hidden = false;
      wait = Math.min(wait * 2, longest);
    }
    if (!document.hidden) timer = setTimeout(refresh, wait * 1000);
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) refresh();
  });
  timer = setTimeout(refresh, wait * 1000);
})();
