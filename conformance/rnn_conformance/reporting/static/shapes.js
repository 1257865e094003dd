// The page of shapes: answers come from the reference's rules, which the page holds with letters for numbers; this puts numbers in.
"use strict";
(() => {
  const KNOWN = JSON.parse(document.getElementById("knowledge").textContent);
  const form = document.getElementById("ask"), place = document.getElementById("answer"), told = document.getElementById("told");
  const text = document.getElementById("error"), meaning = document.getElementById("meaning");

  function el(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
    node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined));
    return node;
  }
  function copied(code) {
    const button = el("button", { type: "button" }, "Copy");
    button.onclick = async () => {
      try { await navigator.clipboard.writeText(code); }
      catch { const area = el("textarea", {}, code); document.body.append(area); area.select(); document.execCommand("copy"); area.remove(); }
      button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1500);
    };
    return el("div", { class: "copying" }, button, el("pre", { tabindex: "0" }, el("code", {}, code)));
  }

  // "32, 10, 4", "(None, 10, 4)", "[32,10,4]", "torch.Size([32, 10, 4])"; null where it is no shape
  function parsed(given) {
    const inner = given.replace(/^[^([\d-]*?[([]+|[)\]]+$/g, "").trim().replace(/,$/, "");
    if (!inner) return null;
    const parts = inner.split(/[,\s×x]+/).filter(Boolean).map((p) => /^(none|null|-1|\?)$/i.test(p) ? null : /^\d+$/.test(p) ? Number(p) : NaN);
    return !parts.length || parts.some((p) => Number.isNaN(p) || p === 0) ? null : parts;
  }
  const spelled = (shape) => `(${shape.map((d) => d === null ? "None" : d).join(", ")}${shape.length === 1 ? "," : ""})`;

  function dimension(entry, numbers) {
    if (typeof entry === "number") return entry;
    const [, factor, letter] = /^(\d*)([BTFU])$/.exec(entry);
    return numbers[letter] === null ? null : Number(factor || 1) * numbers[letter];
  }

  function explainShape(data, major) {
    if (data.length === 2) return ["The data has two dimensions; three are needed: batch, time, features (SHAPE-1). One sequence [T, F] needs a batch of one, x[None]; sequences of single numbers [B, T] need a feature axis, x[..., None].", false];
    if (data.length !== 3) return [`The data has ${data.length} dimensions; three are needed: batch, time, features (SHAPE-1).` + (data.length > 3 ? " Merge what belongs to one step into its features, x.reshape(B, T, -1), or leave out axes of length 1." : ""), false];
    if (data[2] === null) return ["The number of features must be known: the kernel has a row for each (SHAPE-1).", false];
    const [b, t] = major ? [data[1], data[0]] : data;
    return [`${b === null ? "Any number of" : b} ${b === 1 ? "sequence" : "sequences"} of ${t === null ? "any number of" : t} ${t === 1 ? "step" : "steps"} with ${data[2]} ${data[2] === 1 ? "feature" : "features"} each.`, true];
  }

  function update() {
    const f = new FormData(form), layer = f.get("layer"), units = Number(f.get("units"));
    form.elements.reset_after.closest("label").hidden = layer !== "GRU";
    place.replaceChildren();
    const data = parsed(f.get("data"));
    if (!data) { told.textContent = "The shape of the data: numbers with commas between them, as in 32, 10, 4; None where a number is not known."; told.className = "wrong"; return; }
    if (!Number.isInteger(units) || units < 1) { told.textContent = "units is a positive whole number (ERR-3)."; told.className = "wrong"; return; }
    const [sentence, good] = explainShape(data, f.has("time_major"));
    told.textContent = sentence; told.className = good ? "" : "wrong";
    if (!good) return;
    const [first, second, features] = data, [B, T] = f.has("time_major") ? [second, first] : [first, second];
    const numbers = { B, T, F: features, U: units };
    const name = layer + KNOWN.flags.map((flag) => layer === "LSTM" && flag === "reset_after" ? "1" : f.has(flag) ? "1" : "0").join("");
    for (const a of KNOWN.known[name]) {
      const card = el("section", { class: "card" }, el("h3", {}, a.framework));
      if (a.reason) { card.append(el("p", {}, `Cannot express this layer: ${a.reason}.`)); place.append(card); continue; }
      let parameters = 0;
      const rows = Object.entries(a.shapes).map(([what, shape]) => {
        const own = shape.map((d) => dimension(d, numbers));
        if (a.learnt.includes(what)) parameters += own.reduce((x, y) => x * y, 1);
        return el("tr", {}, el("th", { scope: "row" }, el("code", {}, what)), el("td", {}, spelled(own)));
      });
      rows.push(el("tr", {}, el("th", { scope: "row" }, "parameters"), el("td", {}, parameters.toLocaleString("en"))));
      card.append(el("table", {}, el("tbody", {}, rows)), copied(a.code.replaceAll("{U}", units).replaceAll("{F}", features)));
      place.append(card);
    }
  }

  function explain() {
    const flat = text.value.replace(/\x1b\[[0-9;]*m/g, "").split(/\s+/).filter(Boolean).join(" ");
    meaning.replaceChildren();
    if (!flat) return;
    const found = KNOWN.messages.map((m) => [m, new RegExp(m.pattern).exec(flat)]).filter(([, match]) => match)
      .map(([m, match]) => [m, match[0].length]).sort((a, b) => b[1] - a[1]).slice(0, 3);
    if (!found.length) { meaning.append(el("p", {}, "Nothing is known about this message.")); return; }
    for (const [m] of found) meaning.append(el("section", { class: "card", "data-id": m.id }, el("p", { class: "small soft" }, m.frameworks.join(", "), m.clause ? ` · ${m.clause}` : ""), el("p", {}, el("strong", {}, m.cause)), el("p", {}, m.cure), copied(m.right.trim())));
  }
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  text.addEventListener("input", explain);
  update(); explain();
})();
