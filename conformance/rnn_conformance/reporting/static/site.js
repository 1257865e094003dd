// What every page shares: chunks of data, elements, the address, copying. Texts reach the page as text nodes only.
"use strict";
const rnn = (() => {
  const root = document.documentElement.dataset.root;
  const waiting = new Map();

  async function unpack(packed) {
    const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  function load(name) {
    if (!waiting.has(name)) {
      let done, failed;
      const promise = new Promise((ok, no) => { done = ok; failed = no; });
      waiting.set(name, { promise, done });
      const script = document.createElement("script");
      script.src = `${root}data/${encodeURIComponent(name)}.js`;
      script.onerror = () => failed(new Error(`data/${name}.js is missing`));
      document.head.append(script);
    }
    return waiting.get(name).promise;
  }

  const take = (name, packed) => waiting.get(name)?.done(unpack(packed));

  function el(tag, attributes, ...children) {
    const svg = ["svg", "rect", "title", "text", "g"].includes(tag);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
    node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
    return node;
  }

  const CODES = { p: "pass", c: "pass (composed)", u: "unsupported", k: "known", V: "value", S: "shape", D: "dtype", A: "accepted", R: "refused", N: "nondeterministic", C: "crash", T: "timeout", P: "protocol", U: "unproved", X: "stale", "-": "no result" };
  const passes = (code) => code === "p" || code === "c";
  const bad = (code) => code >= "A" && code <= "Z";
  const state = (code) => passes(code) ? "good" : code === "k" ? "known" : bad(code) ? "bad" : code === "u" ? "unsupported" : "none";
  const badge = (code) => el("span", { class: `badge ${state(code)}` }, CODES[code]);
  const address = (id) => `${root}case.html#${encodeURIComponent(id).replace(/%2F/g, "/").replace(/%3D/g, "=").replace(/%2C/g, ",")}`;

  // z as packed.code_of_z writes it
  function z(char) {
    const code = char.charCodeAt(0);
    return code === 33 ? null : code === 34 ? 0 : code === 126 ? Infinity : 2 ** ((code - 35) / 4 - 10);
  }
  const spell = (value) => typeof value === "string" ? value : value === null || value === undefined ? "" : value === 0 ? "0" : value >= 1e4 || value < 1e-3 ? value.toExponential(1) : String(+value.toPrecision(2));

  const parameters = () => new URLSearchParams(location.hash.slice(1));
  function remember(values) {
    const kept = new URLSearchParams();
    for (const [key, value] of Object.entries(values)) if (value) kept.set(key, value);
    history.replaceState(null, "", kept.size ? `#${kept}` : location.pathname + location.search);
  }

  async function cases() {
    const data = await load("cases");
    data.id = data.ids ? data.ids.split("\n") : [];
    return data;
  }

  function copier(text) {
    const button = el("button", { type: "button" }, "Copy");
    button.onclick = async () => {
      try { await navigator.clipboard.writeText(text); }
      catch {  // pages from disk may have no clipboard of their own
        const area = el("textarea", {}, text);
        document.body.append(area); area.select(); document.execCommand("copy"); area.remove();
      }
      button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1500);
    };
    return button;
  }
  const copied = (text) => el("div", { class: "copying" }, copier(text), el("pre", { tabindex: 0 }, el("code", {}, text)));

  const started = [];
  document.addEventListener("DOMContentLoaded", () => {
    for (const block of document.querySelectorAll(".copying")) block.prepend(copier(block.querySelector("pre").textContent));
    for (const start of started) start();
  });
  return { load, take, el, CODES, passes, bad, state, badge, address, z, spell, parameters, remember, cases, copied, start: (f) => started.push(f), root };
})();
