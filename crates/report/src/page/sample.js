// Text that language models wrote, a panel a row.

function sampleSection() {
  const rows = data.rows.filter((row) => row.sample);
  if (!rows.length) return false;
  byId("sample-body").append(...rows.map((row) => el("figure", { class: "panel" },
    el("figcaption", {}, rowName(row), el("span", { class: "row-note" }, row.sample.run)),
    el("pre", { class: "sample", tabindex: "0", role: "group", "aria-label": `Sample of ${rowLabel(row)}` }, row.sample.text))));
  return true;
}
