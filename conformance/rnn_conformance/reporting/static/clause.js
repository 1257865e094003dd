// The page of a clause: its cases on one implementation, or all.
"use strict";
rnn.start(async () => {
  const place = document.getElementById("cases"), form = document.querySelector("form.filters"), told = document.getElementById("told");
  const clause = document.body.dataset.clause;
  const implementations = [...form.elements.implementation.options].filter((o) => o.value).map((o) => ({ slug: o.value, label: o.textContent }));
  const SHOWN = 400;
  const order = (code) => rnn.bad(code) ? 0 : code === "k" ? 1 : rnn.passes(code) ? 2 : code === "u" ? 3 : 4;
  const applicable = (code) => code !== "-" && code !== "u";
  let cases;

  async function update() {
    const wanted = form.elements.implementation.value, verdict = form.elements.verdict.value;
    rnn.remember({ implementation: wanted, verdict });
    const shown = implementations.filter((i) => !wanted || i.slug === wanted);
    const results = await Promise.all(shown.map((i) => rnn.load(`results-${i.slug}`)));
    const number = cases.clauses.indexOf(clause);
    const kept = [];
    for (let k = 0; k < cases.id.length; k++) {
      if (!cases.sets[cases.set[k]].includes(number)) continue;
      const codes = results.map((r) => r.codes[k]);
      if (codes.every((c) => c === "-")) continue;
      if (verdict && !codes.some((c) => rnn.CODES[c] === verdict)) continue;
      kept.push({ k, codes, rank: Math.min(...codes.map(order)) });
    }
    kept.sort((a, b) => a.rank - b.rank || a.k - b.k);
    told.textContent = `${kept.length.toLocaleString("en")} cases` + (kept.length > SHOWN ? `, the first ${SHOWN} shown` : "");
    place.replaceChildren(...kept.slice(0, SHOWN).map(({ k, codes }) => rnn.el("li", {},
      shown.length === 1 ? rnn.badge(codes[0]) : null,
      rnn.el("a", { href: rnn.address(cases.id[k]) }, rnn.el("code", {}, cases.id[k])),
      shown.length === 1 ? note(results[0], k) : [share(codes), ...codes.map((c, i) => rnn.passes(c) || !applicable(c) ? null : rnn.el("span", { class: "small soft" }, `${shown[i].label} `, rnn.badge(c)))])));
  }
  function share(codes) {
    const count = codes.filter(applicable).length;
    const text = count ? `${codes.filter(rnn.passes).length} of ${count} pass` : "nobody can express it";
    return rnn.el("span", { class: "small soft" }, text);
  }
  function note(result, k) {
    const detail = result.details[k];
    if (detail) return rnn.el("span", { class: "small soft" }, detail.message.slice(0, 160));
    const z = rnn.z(result.z[k]);
    return z === null ? null : rnn.el("span", { class: "small soft" }, `z ${rnn.spell(z)}`);
  }
  function restore() {
    const given = rnn.parameters();
    for (const name of ["implementation", "verdict"]) { const field = form.elements[name]; field.value = given.get(name) || ""; if (field.selectedIndex < 0) field.value = ""; }
    update().catch((error) => { told.textContent = error.message; });
  }
  try { cases = await rnn.cases(); } catch (error) { told.textContent = error.message; return; }
  form.addEventListener("input", () => update());
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", restore);
  restore();
});
