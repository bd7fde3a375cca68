/** The element with an id. */
export const $ = (id) => document.getElementById(id);

/** Makes an element; text is never taken for HTML. */
export function make(tag, { aria = {}, ...properties } = {}, ...children) {
  const e = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(aria)) e.setAttribute("aria-" + name, value);
  e.append(...children);
  return e;
}

/** Shows what went wrong; "" shows nothing. */
export function problem(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

/** Does something for the user and shows why when it fails. */
export async function attempt(act) {
  problem("");
  try {
    return await act();
  } catch (err) {
    problem(err.message);
  }
}

/** Asks for a text, which begins as value, or with value null for a yes. Returns null for no. */
export function ask(text, value = null, yes = "OK") {
  const dialog = $("ask"), answer = $("ask-answer");
  $("ask-text").textContent = text;
  $("ask-yes").textContent = yes;
  answer.hidden = value === null;
  answer.value = value ?? "";
  dialog.returnValue = "";
  dialog.showModal();
  if (value !== null) answer.select();
  // Enter in the field would press the first button, which is Cancel.
  answer.onkeydown = (e) => {
    if (e.key !== "Enter") return;
    e.preventDefault();
    dialog.close("yes");
  };
  return new Promise((done) => {
    dialog.onclose = () => done(dialog.returnValue !== "yes" ? null : answer.value);
  });
}
