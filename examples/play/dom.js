/** Elements out of data: made anew at each change, and fitted into what is on the screen, which keeps focus and clicks. */

/**
 * An element: attributes by name, listeners under their names (`onclick`), children in order. `key` tells it from its
 * neighbours, also for tests. What is null, undefined or false is left out.
 *
 * @param {string} tag
 * @param {Record<string, any>} attributes
 * @param {...any} children
 * @returns {any}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element[name] = value;
    else if (name === "key") element.dataset.key = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

/** The element of this id, which the document has. @returns {any} */
export function byId(id) {
  return document.getElementById(id);
}

/** Make the children of a container like these. */
export function show(container, ...children) {
  fitChildren(container, h("div", {}, ...children));
}

const LISTENERS = ["onclick", "onsubmit", "onchange", "oninput"];

function fitChildren(present, wanted) {
  const after = [...wanted.childNodes];
  for (const [index, child] of after.entries()) {
    const found = counterpart(present, index, child);
    const there = present.childNodes[index];
    if (!found) {
      present.insertBefore(child, there ?? null);
    } else {
      if (found !== there) present.insertBefore(found, there);
      fit(found, child);
    }
  }
  while (present.childNodes.length > after.length) present.lastChild.remove();
}

/** Which of the nodes from here on stands for the same thing. */
function counterpart(present, index, child) {
  const key = child.dataset?.key;
  for (let node = present.childNodes[index]; node; node = node.nextSibling) {
    if (node.nodeName === child.nodeName && node.dataset?.key === key) return node;
    if (key === undefined) return undefined;
  }
  return undefined;
}

function fit(present, wanted) {
  if (present.nodeType === Node.TEXT_NODE) {
    if (present.data !== wanted.data) present.data = wanted.data;
    return;
  }
  for (const { name } of [...present.attributes]) {
    // Whether something is folded open is for who reads it to say.
    if (!wanted.hasAttribute(name) && name !== "open") present.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (present.getAttribute(name) !== value) present.setAttribute(name, value);
  }
  for (const listener of LISTENERS) present[listener] = wanted[listener];
  fitChildren(present, wanted);
}
