// Draws the boxes of a quarantined object over its frames, and lets a person change them.
"use strict";

(() => {
  const review = document.getElementById("review");
  if (!review) return;
  const element = (id) => document.getElementById(id);
  const [image, svg, list, number] = ["frame", "boxes", "list", "number"].map(element);
  const size = { frames: Number(review.dataset.frames), rows: Number(review.dataset.rows), columns: Number(review.dataset.columns) };
  const least = 3; // a click that shook is no box
  let boxes = JSON.parse(review.dataset.boxes);
  let frame = 0;
  let chosen = null;

  const here = (box) => box.frame === null || box.frame === frame;

  function text(box) {
    const [left, top, right, bottom] = box.box;
    const place = box.frame === null ? "all frames" : `frame ${box.frame + 1}`;
    return `${right - left} × ${bottom - top} at ${left}, ${top} · ${place}${box.why ? ` · ${box.why}` : ""}`;
  }

  function drawn([left, top, right, bottom]) {
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const place = { x: left, y: top, width: right - left, height: bottom - top };
    for (const [name, value] of Object.entries(place)) rect.setAttribute(name, value);
    return rect;
  }

  function show() {
    svg.replaceChildren(...boxes.filter(here).map((box) => {
      const rect = drawn(box.box);
      rect.classList.toggle("chosen", box === chosen);
      rect.addEventListener("pointerdown", (event) => {
        event.stopPropagation();
        chosen = box;
        show();
      });
      return rect;
    }));
    list.replaceChildren(...boxes.map((box) => {
      const item = document.createElement("li");
      const label = document.createElement("span");
      label.className = "job";
      label.textContent = text(box);
      const button = document.createElement("button");
      button.type = "button";
      button.className = "quiet-button";
      button.textContent = "Remove";
      button.setAttribute("aria-label", `Remove ${text(box)}`);
      button.addEventListener("click", () => remove(box));
      item.classList.toggle("chosen", box === chosen);
      item.append(label, button);
      return item;
    }));
    element("none").hidden = boxes.length > 0;
    element("redact").disabled = boxes.length === 0;
    element("clean").disabled = !element("accepts").checked;
    element("decided").value = JSON.stringify(boxes.map(({ frame, box }) => ({ frame, box })));
  }

  function remove(box) {
    boxes = boxes.filter((one) => one !== box);
    if (chosen === box) chosen = null;
    show();
  }

  function go(to) {
    if (!Number.isInteger(to)) return;
    frame = Math.min(Math.max(to, 0), size.frames - 1);
    number.value = frame + 1;
    image.src = review.dataset.source + (frame + 1);
    element("earlier").disabled = frame === 0;
    element("later").disabled = frame === size.frames - 1;
    show();
  }

  // A point of the page in pixels of the frame.
  function point(event) {
    const place = svg.getBoundingClientRect();
    const along = (at, from, length, most) => Math.min(Math.max(Math.round(((at - from) / length) * most), 0), most);
    return [along(event.clientX, place.left, place.width, size.columns), along(event.clientY, place.top, place.height, size.rows)];
  }

  svg.addEventListener("pointerdown", (event) => {
    const from = point(event);
    let ghost = null;
    let made = null;
    chosen = null;
    svg.setPointerCapture(event.pointerId);
    const move = (next) => {
      const to = point(next);
      made = [Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.max(from[0], to[0]), Math.max(from[1], to[1])];
      ghost?.remove();
      ghost = drawn(made);
      ghost.classList.add("ghost");
      svg.append(ghost);
    };
    const end = (next) => {
      svg.removeEventListener("pointermove", move);
      if (next.type === "pointerup" && made && made[2] - made[0] >= least && made[3] - made[1] >= least) {
        chosen = { frame: element("everywhere").checked ? null : frame, box: made, why: "" };
        boxes.push(chosen);
      }
      show();
    };
    svg.addEventListener("pointermove", move);
    svg.addEventListener("pointerup", end, { once: true });
    svg.addEventListener("pointercancel", end, { once: true });
  });

  // What a keyboard can do as well: a box by its edges.
  function add() {
    const [left, top, right, bottom] = ["left", "top", "right", "bottom"].map((edge) => element(edge).valueAsNumber);
    const whole = [left, top, right, bottom].every(Number.isInteger);
    const fits = whole && 0 <= left && left < right && right <= size.columns && 0 <= top && top < bottom && bottom <= size.rows;
    element("no-box").hidden = fits;
    if (!fits) return;
    chosen = { frame: element("everywhere").checked ? null : frame, box: [left, top, right, bottom], why: "" };
    boxes.push(chosen);
    show();
  }

  element("add").addEventListener("click", add);
  document.addEventListener("keydown", (event) => {
    if ((event.key === "Delete" || event.key === "Backspace") && chosen && !event.target.matches("input")) {
      event.preventDefault();
      remove(chosen);
    }
  });
  image.addEventListener("error", () => { element("unseen").hidden = false; });
  image.addEventListener("load", () => { element("unseen").hidden = true; });
  element("earlier").addEventListener("click", () => go(frame - 1));
  element("later").addEventListener("click", () => go(frame + 1));
  number.addEventListener("change", () => go(Number(number.value) - 1));
  element("accepts").addEventListener("change", show);
  element("learn").addEventListener("change", () => { element("rule-fields").hidden = !element("learn").checked; });
  element("earlier").disabled = true;
  element("later").disabled = size.frames < 2;
  element("rule-fields").hidden = !element("learn").checked;
  show();
})();
