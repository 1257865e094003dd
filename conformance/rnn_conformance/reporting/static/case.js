// The page of a case, whose id is the address: what it is, what every implementation made of it, and where they differ.
"use strict";
rnn.start(() => {
  const place = document.getElementById("case");
  const { el } = rnn;

  async function show() {
    const id = decodeURIComponent(location.hash.slice(1));
    if (!id) { place.replaceChildren(el("h1", {}, "No case"), el("p", {}, "The address of a case ends with its id: choose one from the matrix.")); return; }
    document.title = `${id} · rnn-conformance`;
    place.replaceChildren(el("h1", {}, "Case"), el("p", {}, el("code", {}, id)), el("p", {}, "Reading…"));
    const [cases, everyone, findings] = await Promise.all([rnn.cases(), rnn.load("implementations"), rnn.load("findings")]);
    const k = cases.id.indexOf(id);
    if (k < 0) { place.replaceChildren(el("h1", {}, "No such case"), el("p", {}, "Nothing in these results is called ", el("code", {}, id), ".")); return; }
    const results = await Promise.all(everyone.map((i) => rnn.load(`results-${i.slug}`)));
    const bucket = cases.buckets.slice(2 * k, 2 * k + 2);
    const [facts, evidence] = await Promise.all([rnn.load(`case-${bucket}`), rnn.load(`evidence-${bucket}`)]);
    place.replaceChildren(...page(id, k, cases, everyone, results, findings, facts[id], evidence[id] || {}));
  }

  function page(id, k, cases, everyone, results, findings, facts, evidence) {
    const clauses = cases.sets[cases.set[k]].map((c) => [cases.clauses[c], cases.titles[c]]);
    const parts = [el("p", { class: "soft small" }, `${facts ? facts.layer : ""} · family ${cases.families[cases.family[k]]}${facts ? ` · tier ${facts.tier}` : ""}`), el("h1", {}, el("code", {}, id))];
    if (facts) {
      const changed = Object.entries(facts.changed);
      parts.push(el("p", {}, changed.length ? changed.map(([n, v]) => el("span", { class: "chip" }, `${n} = ${v}`)) : "Every argument at its default.",
        " ", el("span", { class: "chip" }, `B ${facts.size.B}, T ${facts.size.T}, F ${facts.size.F}, U ${facts.size.U}`)));
    } else parts.push(el("p", { class: "small soft" }, "Not one of the stored cases: ", el("code", {}, `rnn-conformance show '${id}'`), " computes it where it is of the full tier."));
    const rows = [];
    everyone.forEach((i, n) => {
      const code = results[n].codes[k];
      if (code === "-") return;
      const detail = results[n].details[k];
      const finding = detail && findings.find((f) => f.slug === i.slug && f.cause === detail.cause && f.known === (code === "k"));
      const z = detail && detail.z !== null ? detail.z : rnn.z(results[n].z[k]);
      rows.push(el("tr", {}, el("td", { class: "name" }, el("a", { href: `${rnn.root}implementations/${i.slug}.html` }, i.label), el("br"), el("span", { class: "small soft" }, `${i.framework} ${i.version}`)),
        el("td", {}, rnn.badge(code), k in results[n].changed ? el("span", { class: "small soft" }, ` was ${rnn.CODES[results[n].changed[k]]}`) : null), el("td", { class: "n", "data-title": "largest z" }, rnn.spell(z)),
        el("td", { class: "n", "data-title": "rms z" }, detail ? rnn.spell(detail.rms) : ""), el("td", { class: "n", "data-title": "mean z" }, detail && detail.bias !== null ? (detail.bias > 0 ? "+" : "−") + rnn.spell(Math.abs(detail.bias)) : ""),
        el("td", { class: "seen" }, code === "u" ? el("span", { class: "soft" }, reason(results[n], k)) : detail ? explained(detail, finding) : "")));
    });
    parts.push(el("h2", {}, "What came out"), el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Verdicts" }, el("table", { class: "stack" },
      el("thead", {}, el("tr", {}, ["implementation", "verdict"].map((h) => el("th", { scope: "col" }, h)), ["largest z", "rms z", "mean z"].map((h) => el("th", { scope: "col", class: "n" }, h)), el("th", { scope: "col" }, "what was seen"))), el("tbody", {}, rows))));
    const seen = everyone.filter((i) => evidence[i.slug]);
    if (seen.length) {
      parts.push(el("h2", {}, "Where it differs"), el("p", { class: "small soft" }, "z of every element: white is exact, from the limit of 8 on it is red. The sample with the largest z is shown."));
      const names = [...new Set(seen.flatMap((i) => evidence[i.slug].outputs.map((o) => o.name)))];
      for (const name of names) {
        const own = seen.map((i) => [i, evidence[i.slug].outputs.find((o) => o.name === name)]).filter(([, o]) => o);
        parts.push(el("h3", {}, name), el("div", { class: "maps" }, own.map(([i, o]) => heat(i, o))), el("details", {}, el("summary", {}, `numbers of ${name}`), own.map(([i, o]) => numbers(i, o))));
      }
    }
    parts.push(el("h2", {}, "What it tests"), el("p", {}, clauses.map(([name, title], n) => [n ? ", " : "", el("a", { href: `${rnn.root}clauses/${name}.html`, title }, name), el("span", { class: "small soft" }, ` ${title}`)])));
    const scripts = everyone.map((i, n) => {
      const detail = results[n].details[k];
      return detail && [i, findings.find((f) => f.slug === i.slug && f.cause === detail.cause), detail];
    }).filter(Boolean);
    if (scripts.length) parts.push(el("h2", {}, "Reproduce it"));
    for (const [i, finding] of scripts) {
      parts.push(el("h3", {}, i.label));
      if (finding && finding.script) parts.push(el("p", { class: "small soft" }, "A script for ", el("a", { href: `${rnn.root}findings.html#${finding.anchor}` }, finding.cause), ", with the framework and NumPy alone:"), rnn.copied(finding.script));
      parts.push(el("p", { class: "small soft" }, "This very case:"), rnn.copied(`rnn-conformance repro '${id}' --adapter ${i.adapter} --dtype ${i.dtype}`));
    }
    parts.push(el("h2", {}, "Run it again"), rnn.copied(`rnn-conformance run --select 'id=${id}' --dtype all`), rnn.copied(`rnn-conformance show '${id}' --format json`));
    if (facts) parts.push(el("details", {}, el("summary", {}, "the case as JSON (arrays by name)"), rnn.copied(JSON.stringify(facts.case, null, 1))));
    return parts;
  }

  // reasons are kept for the unsupported cases alone, in their order
  const reason = (result, k) => result.reasons[result.reason[[...result.codes.slice(0, k)].filter((c) => c === "u").length]];

  function explained(detail, finding) {
    return [detail.message, detail.where && detail.where.first_step !== undefined && detail.where.first_step !== null ? ` First differing step: ${detail.where.first_step}.` : "",
      detail.agrees.length ? el("p", { class: "small" }, "Agrees with ", detail.agrees.map((a) => el("span", { class: "chip" }, a))) : null,
      finding && finding.takes ? el("p", { class: "small" }, `The cause ${finding.takes}.`) : null,
      finding ? el("p", { class: "small" }, el("a", { href: `${rnn.root}findings.html#${finding.anchor}` }, finding.known ? `known: ${finding.cause}` : finding.cause), finding.reason ? `: ${finding.reason}` : "", finding.link ? [" ", el("a", { href: finding.link, rel: "noreferrer" }, "upstream")] : null) : null];
  }

  const value = (v) => typeof v === "number" ? v : v === "inf" ? Infinity : v === "-inf" ? -Infinity : NaN;
  function shade(z) {
    const v = value(z);
    if (Number.isNaN(v) || v === Infinity) return "#7a0f1c";
    if (v >= 8) return `hsl(6 75% ${Math.max(30, 62 - 6 * Math.log2(v / 8))}%)`;
    return v === 0 ? "#fff" : `hsl(215 60% ${Math.round(96 - 36 * Math.min(1, Math.log2(1 + v) / Math.log2(9)))}%)`;
  }
  function heat(i, o) {
    const rows = o.z.length, columns = o.z[0]?.length || 0, size = Math.max(6, Math.min(26, Math.floor(420 / Math.max(rows, columns)))), left = 46, top = 16;
    const svg = el("svg", { class: "heat", viewBox: `0 0 ${left + columns * size} ${top + rows * size}`, width: left + columns * size, role: "img", "aria-label": `z of ${o.name} on ${i.label}` });
    svg.append(el("text", { x: left, y: 11 }, `${o.axes[1]} →`), el("text", { x: 0, y: top + 11 }, o.axes[0]));
    o.z.forEach((row, r) => row.forEach((z, c) => svg.append(el("rect", { x: left + c * size, y: top + r * size, width: size, height: size, rx: 2, fill: shade(z) },
      el("title", {}, `${o.axes[0]} ${r}, ${o.axes[1]} ${c}\nexpected ${o.expected[r][c]}\nreturned ${o.returned[r][c]}\nz ${z}`)))));
    return el("figure", {}, el("figcaption", {}, `${i.label}${o.sample === null ? "" : `, sample ${o.sample}`}, ${o.name} [${o.shape.join(", ")}]`), svg);
  }
  function numbers(i, o) {
    const grid = (title, values, off) => el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, el("table", { class: "numbers" }, el("caption", { class: "small soft" }, title),
      el("tbody", {}, values.map((row, r) => el("tr", {}, el("th", { scope: "row" }, String(r)), row.map((v, c) => el("td", { class: off && value(o.z[r][c]) > 8 ? "n off" : "n" }, String(v))))))));
    return [grid(`${i.label}: expected (certified, nearest float64)`, o.expected), grid(`${i.label}: returned`, o.returned, true), grid("input", o.input), o.mask ? el("p", { class: "small" }, `mask: ${o.mask.map((m) => m ? 1 : 0).join(" ")}`) : null];
  }

  const start = () => show().catch((error) => place.replaceChildren(el("h1", {}, "Cannot show the case"), el("p", {}, error.message)));
  window.addEventListener("hashchange", start);
  start();
});
