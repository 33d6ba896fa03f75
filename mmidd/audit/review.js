"use strict";
const page = document.body.dataset.page;
const fields = [...document.querySelectorAll("fieldset")];
const answerOf = (field) => field.querySelector("input:checked")?.value ?? null;
let address = null;

function collect() {
  const answers = new Map();
  for (const field of fields) {
    const article = field.closest("article");
    const answer = answers.get(article) ?? { id: article.dataset.id, shown: article.dataset.shown };
    answer[field.dataset.field] = answerOf(field);
    answers.set(article, answer);
  }
  return { format: "mmidd-review-1", page, answers: [...answers.values()] };
}

function refresh() {
  const done = fields.filter(answerOf).length;
  document.getElementById("done").textContent = `${done} of ${fields.length} captions judged.`;
  if (address) URL.revokeObjectURL(address);
  const text = JSON.stringify(collect(), null, 1);
  address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  document.getElementById("save").href = address;
  try { localStorage.setItem(`mmidd-review-${page}`, text); } catch { /* no storage here: the page forgets when closed */ }
}

function restore() {
  let kept = null;
  try { kept = JSON.parse(localStorage.getItem(`mmidd-review-${page}`)); } catch { return; }
  const answers = new Map((kept?.answers ?? []).map((answer) => [answer.id, answer]));
  for (const field of fields) {
    const value = answers.get(field.closest("article").dataset.id)?.[field.dataset.field];
    for (const input of field.querySelectorAll("input")) input.checked = input.value === value;
  }
}

function go(place) {
  const field = fields[Math.min(Math.max(place, 0), fields.length - 1)];
  if (!field) return;
  (field.querySelector("input:checked") ?? field.querySelector("input")).focus({ preventScroll: true });
  field.closest("article").scrollIntoView({ block: "start" });
}

document.addEventListener("change", refresh);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const focused = fields.indexOf(document.activeElement?.closest("fieldset"));
  const open = fields.findIndex((field) => !answerOf(field));
  const place = focused >= 0 ? focused : Math.max(open, 0);
  if ("123".includes(event.key)) {
    fields[place]?.querySelectorAll("input")[Number(event.key) - 1]?.click();
    go(place + 1);
  } else if (event.key === "j" || event.key === "k") {
    go(focused < 0 ? place : place + (event.key === "j" ? 1 : -1));
  } else return;
  event.preventDefault();
});
restore();
refresh();
