// The front page: filters over all results, the matrix counted anew, the cases that are left.
"use strict";
rnn.start(() => {
  const form = document.querySelector("form.filters");
  const table = document.querySelector("table.matrix");
  if (!form || !table) return;
  const list = document.getElementById("cases"), told = document.getElementById("told");
  const heads = [...table.querySelectorAll("thead th.imp")];
  const SHOWN = 200;
  let data = null;

  const implementations = heads.map((head) => ({ ...head.dataset }));
  const visible = (f) => implementations.map((i) => ["framework", "device", "dtype", "settings"].every((k) => !f[k] || i[k] === f[k]));

  async function all() {
    const [cases, ...results] = await Promise.all([rnn.cases(), ...implementations.map((i) => rnn.load(`results-${i.slug}`))]);
    return { cases, results };
  }

  function read() {
    const values = Object.fromEntries(new FormData(form));
    return Object.fromEntries(Object.entries(values).filter(([, v]) => v));
  }

  const needs = (f) => f.family || f.verdict || f.text || f.differs || f.changed;

  function chosen(f, shown) {
    // for every case and implementation whether it is looked at
    const { cases, results } = data;
    const words = (f.text || "").toLowerCase().split(/\s+/).filter(Boolean);
    const family = f.family ? cases.families.indexOf(f.family) : -1;
    const kept = [];
    for (let k = 0; k < cases.id.length; k++) {
      if (family >= 0 && cases.family[k] !== family) continue;
      if (words.length) {
        const id = cases.id[k].toLowerCase(), own = cases.sets[cases.set[k]].map((c) => cases.clauses[c].toLowerCase());
        if (!words.every((w) => id.includes(w) || own.includes(w))) continue;
      }
      const codes = results.map((r, i) => shown[i] ? r.codes[k] : "-");
      if (f.differs) {
        const odd = codes.filter((c) => c === "k" || rnn.bad(c)).length, fine = codes.filter(rnn.passes).length;
        if (odd !== 1 || !fine) continue;
      }
      const here = codes.map((c, i) => c !== "-" && (!f.verdict || matches(c, f.verdict)) && (!f.changed || k in results[i].changed));
      if (here.some(Boolean)) kept.push({ k, codes, here });
    }
    return kept;
  }
  const matches = (code, verdict) => verdict === "unexpected" ? rnn.bad(code) : verdict === "discrepancy" ? rnn.bad(code) || code === "k" : rnn.CODES[code] === verdict;

  function count(kept) {
    const counts = new Map();
    for (const { k, codes, here } of kept)
      for (const c of data.cases.sets[data.cases.set[k]]) {
        const name = data.cases.clauses[c];
        if (!counts.has(name)) counts.set(name, implementations.map(() => ({})));
        here.forEach((on, i) => { if (on) { const own = counts.get(name)[i]; own[codes[i]] = (own[codes[i]] || 0) + 1; } });
      }
    return counts;
  }

  function fill(cell, counts) {
    const total = Object.values(counts).reduce((a, b) => a + b, 0), applicable = total - (counts.u || 0);
    const passed = (counts.p || 0) + (counts.c || 0), known = counts.k || 0, bad = applicable - passed - known;
    const link = cell.querySelector("a");
    cell.className = "cell " + (!total ? "none" : !applicable ? "unsupported" : bad ? "bad" : known ? "known" : "good");
    const text = Object.entries(rnn.CODES).filter(([c]) => counts[c]).map(([c, name]) => `${counts[c]} ${name}`).join(", ") || "no result";
    link.title = text;
    link.setAttribute("aria-label", `${cell.dataset.label}: ${text}`);
    link.textContent = !total ? "·" : !applicable ? "—" : `${passed}/${applicable}`;
    if (bad) link.append(" ", rnn.el("small", {}, `✗${bad}`)); else if (known) link.append(" ", rnn.el("small", {}, `●${known}`));
    return total;
  }

  let turn = 0;
  function busy() {  // until the table shows what was asked for last
    turn += 1;
    table.setAttribute("aria-busy", "true");
    return turn;
  }

  async function update() {
    const mine = busy();
    await show(mine);
    if (mine === turn) table.setAttribute("aria-busy", "false");
  }

  async function show(mine) {
    const f = read(), shown = visible(f);
    rnn.remember(f);
    heads.forEach((h, i) => { h.hidden = !shown[i]; });
    if (needs(f) && !data) {
      told.textContent = "Reading results…";
      try { data = await all(); } catch (error) { told.textContent = String(error.message); return; }
      if (mine !== turn) return;
    }
    const kept = needs(f) ? chosen(f, shown) : null;
    const counts = kept ? count(kept) : null;
    for (const row of table.querySelectorAll("tbody tr[data-clause]")) {
      let total = 0;
      row.querySelectorAll("td.cell").forEach((cell, i) => {
        cell.hidden = !shown[i];
        const own = counts ? counts.get(row.dataset.clause)?.[i] || {} : JSON.parse(cell.dataset.counts);
        const here = fill(cell, own);
        if (shown[i]) total += here;
      });
      row.hidden = !total;
    }
    for (const body of table.tBodies) body.hidden = ![...body.querySelectorAll("tr[data-clause]")].some((r) => !r.hidden);
    list.replaceChildren();
    if (!kept) { told.textContent = ""; return; }
    told.textContent = `${kept.length.toLocaleString("en")} cases` + (kept.length > SHOWN ? `, the first ${SHOWN} below` : "");
    for (const { k, codes, here } of kept.slice(0, SHOWN))
      list.append(rnn.el("li", {}, rnn.el("a", { href: rnn.address(data.cases.id[k]) }, rnn.el("code", {}, data.cases.id[k])),
        codes.map((c, i) => here[i] && !rnn.passes(c) ? rnn.el("span", { class: "small soft" }, `${implementations[i].label} `, rnn.badge(c)) : null)));
  }

  function restore() {
    const given = rnn.parameters();
    for (const field of form.elements) if (field.name) {
      if (field.type === "checkbox") field.checked = given.has(field.name); else { field.value = given.get(field.name) || ""; if (field.selectedIndex === -1) field.value = ""; }
    }
    update();
  }
  let pause;
  form.addEventListener("input", (event) => { busy(); clearTimeout(pause); pause = setTimeout(update, event.target.type === "search" ? 200 : 0); });
  form.addEventListener("submit", (event) => { event.preventDefault(); update(); });
  form.addEventListener("reset", () => { busy(); setTimeout(update, 0); });
  window.addEventListener("hashchange", restore);
  table.addEventListener("keydown", (event) => {  // arrows move among the cells
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const cell = event.target.closest("td.cell");
    if (!move || !cell) return;
    const rows = [...table.querySelectorAll("tr[data-clause]:not([hidden])")], row = cell.parentElement;
    const cells = [...row.querySelectorAll("td.cell:not([hidden])")];
    const next = rows[rows.indexOf(row) + move[0]]?.querySelectorAll("td.cell:not([hidden])")[cells.indexOf(cell) + move[1]];
    if (next) { event.preventDefault(); next.querySelector("a").focus(); }
  });
  for (const button of table.querySelectorAll("button[data-sort]")) button.addEventListener("click", () => {
    const column = Number(button.dataset.sort), weight = (row) => {
      const c = JSON.parse(row.querySelectorAll("td.cell")[column].dataset.counts);
      const bad = Object.entries(c).filter(([k]) => rnn.bad(k)).reduce((a, [, n]) => a + n, 0);
      return bad * 1e6 + (c.k || 0);
    };
    for (const body of table.tBodies) body.append(...[...body.querySelectorAll("tr[data-clause]")].sort((a, b) => weight(b) - weight(a)));
    for (const other of table.querySelectorAll("button[data-sort]")) other.setAttribute("aria-pressed", String(other === button));
  });
  restore();
});
