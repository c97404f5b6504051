// The head of the page, the theme, and the sections in order; sections without content are removed.

const NAMES = { cifar10: "CIFAR-10", cifar100: "CIFAR-100", imagenette: "Imagenette", imagenet: "ImageNet", language: "Language", demo: "Demo: shapes" };

function masthead() {
  byId("title").textContent = data.title === data.experiment ? NAMES[data.experiment] || data.experiment : data.title;
  const done = data.runs.filter((run) => run.status === "done").length;
  const all = data.runs.length + data.not_begun.length;
  const runs = done === all ? count(done, "run") : `${done} of ${count(all, "run")} done${data.not_begun.length ? `, ${data.not_begun.length} not begun` : ""}`;
  const facts = [data.protocol && `protocol ${data.protocol}`, data.model, data.epochs && count(data.epochs, "epoch"), runs, data.device];
  byId("recipe").append(...facts.filter(Boolean).map((fact) => el("span", {}, fact)));
  if (data.about_data) byId("about-data").textContent = data.about_data;
  else byId("about-data").remove();
  if (data.warnings.length) byId("warnings").append(...data.warnings.map((text) => el("li", {}, text)));
  else byId("warnings").remove();
  const when = data.written === null ? "" : ` on ${new Date(data.written * 1000).toISOString().slice(0, 16).replace("T", " at ")} UTC`;
  byId("colophon").textContent = `Written${when} by ${data.program} from the run folders; every number can be traced to one of them.`;
  if (when && done < all) byId("recipe").append(el("span", {}, `as of${when.slice(3)}`));
}

function theme() {
  const button = byId("theme");
  const names = { auto: "Theme: auto", light: "Theme: light", dark: "Theme: dark" };
  const apply = (choice) => {
    document.documentElement.dataset.theme = choice;
    button.textContent = names[choice];
    // A page opened as a file may have no storage; then the choice lasts as long as the page.
    try { localStorage.setItem("theme", choice); } catch { /* no storage */ }
  };
  let stored = null;
  try { stored = localStorage.getItem("theme"); } catch { /* use the default */ }
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
  results: resultsSection, differences: differencesSection, curves: curvesSection, classes: classesSection, sample: sampleSection, time: timeSection,
  theirs: theirsSection, settings: settingsSection, origin: originSection, "left-out": leftOutSection,
};

theme();
masthead();
for (const [id, build] of Object.entries(SECTIONS)) if (!build()) byId(id).remove();
// A link must not lead to a removed section.
for (const link of document.querySelectorAll('main a[href^="#"]')) if (!byId(link.hash.slice(1))) link.replaceWith(link.textContent);
contents([...document.querySelectorAll("main > section")]);
document.documentElement.dataset.ready = "true";
