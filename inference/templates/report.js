"use strict";
(() => {
  const root = document.documentElement;
  const find = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const read = (id) => JSON.parse(find("#" + id).textContent);
  const phrases = read("phrases");
  const tasks = read("tasks");
  const say = () => phrases[root.lang];

  // A page opened from a folder may be refused its storage; it then forgets, and works all the same.
  const remembered = (name) => { try { return localStorage.getItem("penchant." + name); } catch { return null; } };
  const remember = (name, value) => { try { localStorage.setItem("penchant." + name, value); } catch { /* see above */ } };

  // Words: the same rules as the module that wrote the page.
  const decimal = (text) => text.replaceAll(".", say().decimal);
  const kinds = {
    c: (text) => text.replace(/\B(?=(\d{3})+$)/g, say().thousands),
    i: (text) => decimal(text.replace("-", "−")),
    b: (text) => decimal(text.replaceAll("-", "−").replace(",", " … ")),
    p: (text) => say().percent.replace("{n}", text),
    r: decimal,
    d: (text) => {
      const [year, month, day] = text.split("-");
      if (!month) return year;
      const named = say().months[month - 1] + " " + year;
      return day ? (Number(day) === 1 ? say().first : Number(day)) + " " + named : named;
    },
    s: (text) => text,
    k: (text) => phrase(text),
  };
  const written = (code) => kinds[code[0]](code.slice(1));
  const phrase = (key, codes = {}) => {
    let found = say()[key];
    if (Array.isArray(found)) found = found[say().singular.includes(Number(codes.n.slice(1))) ? 0 : 1];
    return found.replace(/\{(\w+)\}/g, (_, name) => written(codes[name]));
  };
  const writeAll = () => {
    for (const node of all("[data-t]")) node.textContent = phrase(node.dataset.t, Object.fromEntries(new URLSearchParams(node.dataset.a)));
    for (const node of all("[data-v]")) node.textContent = written(node.dataset.v);
    for (const node of all("[data-c]")) {
      const counts = node.dataset.c.split(" ");
      node.textContent = tasks[0].labels.map(([label], place) => `${written("c" + counts[place])} ${written(label)}`).join(", ");
    }
    for (const node of all("[data-k]")) {
      const [name, key] = node.dataset.k.split(":");
      node.setAttribute(name, phrase(key));
    }
  };
  const put = (node, key, codes = {}) => {
    node.dataset.t = key;
    node.dataset.a = new URLSearchParams(codes).toString();
    node.textContent = phrase(key, codes);
  };
  const languages = all("[data-lang]");
  const speak = (lang) => {
    root.lang = lang;
    for (const button of languages) button.setAttribute("aria-pressed", String(button.dataset.lang === lang));
    writeAll();
    search();
  };
  for (const button of languages) {
    button.addEventListener("click", () => { speak(button.dataset.lang); remember("lang", button.dataset.lang); });
  }

  // Theme: as the reader's system has it, light, dark, and round again.
  const themes = ["auto", "light", "dark"];
  const theme = find("#theme");
  const dress = (name) => {
    if (name === "auto") delete root.dataset.theme; else root.dataset.theme = name;
    put(find("[data-t^='theme.']", theme), "theme." + name);
  };
  theme.addEventListener("click", () => {
    const next = themes[(themes.indexOf(root.dataset.theme || "auto") + 1) % themes.length];
    dress(next);
    remember("theme", next);
  });

  // The table of articles.
  const table = find("#table");
  const rows = table ? all("tbody tr", table) : [];
  const heads = table ? all("thead th", table) : [];
  const box = find("#search");
  const sorter = find("#sort");
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  const cell = (row, column) => row.cells[column].dataset.s ?? row.cells[column].textContent.trim();
  const sort = (column, descending) => {
    const number = column >= 0 && heads[column].dataset.kind === "number";
    const compare = new Intl.Collator(root.lang, { numeric: true }).compare;
    const sign = descending ? -1 : 1;
    const ordered = column < 0 ? rows : [...rows].sort((one, other) => {
      const [a, b] = [cell(one, column), cell(other, column)];
      if (a === "" || b === "") return (a === "") - (b === "");  // what is missing stands last, either way
      return sign * (number ? a - b : compare(a, b));
    });
    find("tbody", table).append(...ordered);
    heads.forEach((head, place) => head.setAttribute("aria-sort", place !== column ? "none" : descending ? "descending" : "ascending"));
    sorter.value = column < 0 ? "" : column + (descending ? "d" : "a");
  };
  function search() {
    if (!table) return;
    const words = plain(box.value).split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const told = [...row.cells].filter((cell) => !cell.matches(".c-strip, .c-index, .c-doubt"));  // words, not numbers
      const text = plain([row.dataset.q, ...told.map((cell) => cell.textContent)].join(" "));
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    put(find("#found"), shown ? "found" : "found.none", { n: "c" + shown });
  }
  if (table) {
    // The phone's layout takes the table apart; its roles keep it a table for those who do not see it.
    const roles = { table: [table], rowgroup: [table.tHead, table.tBodies[0]], row: [...table.rows], columnheader: heads };
    for (const [role, nodes] of Object.entries({ ...roles, cell: all("tbody td", table) })) {
      for (const node of nodes) node.setAttribute("role", role);
    }
    const option = (value, ...nodes) => {
      const made = document.createElement("option");
      made.value = value;
      made.append(...nodes.map((node) => node.cloneNode(true)));
      sorter.append(made);
      return made;
    };
    put(option(""), "order");
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      option(column + "a", ...head.childNodes, document.createTextNode(" ↑"));
      option(column + "d", ...head.childNodes, document.createTextNode(" ↓"));
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const first = head.dataset.kind === "number";  // numbers: the largest first
        const now = head.getAttribute("aria-sort");
        sort(column, now === "none" ? first : now === "ascending");
      });
    });
    sorter.addEventListener("change", () => {
      if (sorter.value === "") sort(-1, false); else sort(parseInt(sorter.value, 10), sorter.value.endsWith("d"));
    });
    box.addEventListener("input", search);
    find(".finder").hidden = false;
  }

  // The texts: a link opens its article; probabilities are drawn when they are asked for.
  const arrive = () => {
    const target = /^#article-\d+$/.test(location.hash) && find(location.hash);
    if (!target) return;
    target.closest("details").open = true;
    target.closest("details").scrollIntoView();
    target.focus({ preventScroll: true });
  };
  addEventListener("hashchange", arrive);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#article-']");
    if (link && link.hash === location.hash) arrive();  // the same link again: no hash changes
  });
  const toggle = find("#all");
  if (toggle) {
    toggle.parentElement.hidden = false;
    toggle.addEventListener("click", () => {
      const open = toggle.getAttribute("aria-pressed") !== "true";
      for (const article of all("details.article")) article.open = open;
      toggle.setAttribute("aria-pressed", String(open));
      put(find("span", toggle), open ? "texts.close" : "texts.open");
    });
  }
  const make = (name, ...content) => {
    const made = document.createElement(name);
    made.append(...content);
    return made;
  };
  const coded = (code, style = "") => {
    const made = make("span", written(code));
    if (code[0] === "k") made.dataset.t = code.slice(1); else made.dataset.v = code;
    made.className = style;
    return made;
  };
  const share = (value) => "p" + (value > 0 && value < 0.5 ? "<1" : value >= 99.5 && value < 100 ? ">99" : Math.round(value));
  const grouped = (details) => {
    const odds = details.dataset.p.split(" ").map(Number);
    return tasks.map((task) => odds.splice(0, task.labels.length));
  };
  for (const details of all("details.odds")) {
    details.dataset.p = find("p", details).textContent;
    const chosen = details.dataset.l.split(" ").map(Number);
    const odds = grouped(details);
    const unsure = details.parentElement.classList.contains("unsure");
    find("summary", details).replaceChildren(...tasks.map((task, place) => {
      const [label, colour] = task.labels[chosen[place]];
      const line = make("span", coded(label, "label " + colour), " ", coded(share(odds[place][chosen[place]])));
      if (unsure && !place) line.append(" ", coded("kabstained", "tag"));
      return line;
    }));
  }
  document.addEventListener("toggle", (event) => {
    const raw = event.target.matches?.("details.odds") && find("p", event.target);
    if (!raw) return;
    const odds = grouped(event.target);
    raw.replaceWith(...tasks.map((task, place) => {
      const lines = task.labels.map(([label, colour], number) => {
        const line = make("li", coded(label, "label " + colour), coded(share(odds[place][number]), "number"));
        line.className = colour;
        line.style.setProperty("--w", odds[place][number] + "%");
        return line;
      });
      return make("div", coded(task.name), make("ul", ...lines));
    }));
  }, true);

  find(".controls").hidden = false;
  dress(themes.includes(remembered("theme")) ? remembered("theme") : "auto");
  speak(remembered("lang") in phrases ? remembered("lang") : root.lang);
  arrive();
})();
