// The head of the page, the theme, and the sections in their order; a section without content is taken away.

const NAMES = { cifar10: "CIFAR-10", cifar100: "CIFAR-100", imagenette: "Imagenette", demo: "Demo: shapes" };

function masthead() {
  byId("title").textContent = NAMES[data.experiment] || data.experiment;
  const done = data.runs.filter((run) => run.status === "done").length;
  const runs = done === data.runs.length ? count(done, "run") : `${done} of ${count(data.runs.length, "run")} done`;
  const facts = [data.protocol && `protocol ${data.protocol}`, data.model, data.epochs && count(data.epochs, "epoch"), runs, data.device];
  byId("recipe").append(...facts.filter(Boolean).map((fact) => el("span", {}, fact)));
  byId("colophon").textContent = `Written by ${data.program} from the run folders; every number can be traced to one of them.`;
}

function theme() {
  const button = byId("theme");
  const names = { auto: "Theme: auto", light: "Theme: light", dark: "Theme: dark" };
  const apply = (choice) => {
    document.documentElement.dataset.theme = choice;
    button.textContent = names[choice];
    // A page opened as a file may be refused storage; the choice then lasts as long as the page.
    try { localStorage.setItem("theme", choice); } catch { /* nothing to keep it in */ }
  };
  let stored = null;
  try { stored = localStorage.getItem("theme"); } catch { /* the default will do */ }
  apply(stored in names ? stored : "auto");
  button.addEventListener("click", () => {
    const order = Object.keys(names);
    apply(order[(order.indexOf(document.documentElement.dataset.theme) + 1) % order.length]);
  });
}

function contents(present) {
  byId("contents").append(...present.map((section) => el("a", { href: `#${section.id}` }, section.dataset.title)));
}

const SECTIONS = {
  results: resultsSection, differences: differencesSection, curves: curvesSection, classes: classesSection, time: timeSection,
  theirs: theirsSection, settings: settingsSection, origin: originSection, "left-out": leftOutSection,
};

theme();
masthead();
for (const [id, build] of Object.entries(SECTIONS)) if (!build()) byId(id).remove();
// A link must not lead to a section that was taken away.
for (const link of document.querySelectorAll('main a[href^="#"]')) if (!byId(link.hash.slice(1))) link.replaceWith(link.textContent);
contents([...document.querySelectorAll("main > section")]);
document.documentElement.dataset.ready = "true";
